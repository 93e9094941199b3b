//! Generates the gRPC types from the .proto files beside it.

fn main() {}
