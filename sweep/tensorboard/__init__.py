"""What TensorBoard reads: event files, their summaries and tags, and HParams records, written without TensorFlow."""
