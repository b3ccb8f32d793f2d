//! What is wrong with a file, and what was probably meant.
