"""What plugin authors and our own tests share: contract suites, in-memory transports, fakes."""
