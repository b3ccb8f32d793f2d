//! What a server's TLS takes and refuses, found out by greetings written by hand.
