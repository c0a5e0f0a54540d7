"""The run-name codec: what ran, as a name, and back again. Nobody else splits or joins a run name.

    name         = family [ "-" architecture ] { "-" key "=" value } [ "-~" digest ] "-t" number [ "r" repeat ]
    family       = ( text | "~" ) [ "~" ]                 "~" alone is the empty family; see below for the second one
    architecture = ( letter | digit | "_" | "." | "+" ) ...
    key          = ( letter | "_" ) { letter | digit | "_" | "." }
    value        = "none" | "true" | "false" | integer | float | text
    digest       = 8 hexadecimal digits
    number       = at least 4 decimal digits, filled up with zeros
    repeat       = 1 to 9999: the trial trained again with another seed

    dnn-4x32_16-lr=0.00118-bs=32-t0017

- Text stands as it is, `-` included, but `=`, `~` and everything outside `[A-Za-z0-9._+-]` is `~` and two hexadecimal
  digits for each byte of its UTF-8. Hyphens directly before such an escape are escaped as well, which keeps `-~` for
  the digest. In a family every hyphen is escaped, and a leading dot. Text that would read as another kind of value has
  its first byte escaped.
- An equals sign therefore always ends a key, and the key begins after the hyphen before it.
- A name is at most 140 bytes long without its repeat (encrypted home directories allow 143). A longer one loses its
  architecture, then the parameters that do not fit, then the end of its family, and bears a digest of all of them.
- The parameter called `family` is left out where it is a string: its value is the family. A `~` after the family says
  that in this trial, unlike others of its study, it was not suggested. Where `family` appears only after names have
  been given it is written out.
- Whatever was not shortened decodes to exactly what was encoded, types included, given the study's key table.
"""

from sweep.names.codec import MAX_BYTES, RunName, decode, encode, encode_repeat, is_run_name, session_group
from sweep.names.keytable import KeyTable
from sweep.names.values import Value, check_choices, format_number, format_value, is_same, parse_value, short_number

__all__ = [
    "MAX_BYTES",
    "KeyTable",
    "RunName",
    "Value",
    "check_choices",
    "decode",
    "encode",
    "encode_repeat",
    "format_number",
    "format_value",
    "is_run_name",
    "is_same",
    "parse_value",
    "session_group",
    "short_number",
]
