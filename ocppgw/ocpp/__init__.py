"""The protocol: messages, versions, SOAP. Bytes and messages only, no I/O."""
