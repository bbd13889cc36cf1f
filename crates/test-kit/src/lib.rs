//! Real servers for tests, generators and checks. STUB: owner kafka helper.
