//! Generates the gRPC types from the .proto files beside it, without `protoc`.

/// One file for each contract.
const FILES: [&str; 9] = [
    "runtime/v1.proto",
    "kms/v2.proto",
    "csi/v1.proto",
    "deviceplugin/v1beta1.proto",
    "dra/v1.proto",
    "dra/v1beta1.proto",
    "pluginregistration/v1.proto",
    "podresources/v1.proto",
    "snapshots/v1.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    let files = protox::compile(FILES, ["."])?;
    tonic_prost_build::configure().build_transport(true).compile_fds(files)?;
    Ok(())
}
