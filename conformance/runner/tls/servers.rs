//! Servers that answer wrongly on purpose.
