//! Tests over real loopback TLS.
