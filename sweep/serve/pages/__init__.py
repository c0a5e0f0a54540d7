"""The pages that people look at; each module has the routes of one."""
