//! Compresses the files of `page` into the binary, as they are: nothing is translated or bundled.

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=page");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let mut files = Vec::new();
    collect(Path::new("page"), &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for (number, file) in files.iter().enumerate() {
        let content = std::fs::read(file)?;
        let packed = out.join(format!("{number}.gz"));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&content)?;
        std::fs::write(&packed, encoder.finish()?)?;
        let path = file.strip_prefix("page")?.display().to_string();
        let digest: String = Sha256::digest(&content)[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(table, "    File {{ path: {path:?}, digest: {digest:?}, packed: include_bytes!({packed:?}) }},")?;
    }
    table.push(']');
    std::fs::write(out.join("files.rs"), table)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => collect(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}
