//! Generates the gRPC types from the .proto files beside it, without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=runtime/v1.proto");
    let files = protox::compile(["runtime/v1.proto"], ["."])?;
    tonic_prost_build::configure().build_transport(true).compile_fds(files)?;
    Ok(())
}
