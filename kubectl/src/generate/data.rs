//! Config maps and secrets: literals, files, folders, environment files.
//!
//! Upstream: `kubectl/pkg/cmd/create/create_{configmap,secret,secret_docker,secret_tls}.go`.

use super::{GenerateError, hash};
use crate::cli::generators::{DockerRegistry, Sources};
use apimachinery::{Map, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::path::Path;

/// Largest file that becomes a value; an object in etcd can hold no more.
const MAX_FILE: u64 = 16 << 20;

/// The values of the flags, in order.
pub type Entries = Vec<(String, Vec<u8>)>;

/// Reads what the flags name.
pub fn entries(sources: &Sources, what: &str) -> Result<Entries, GenerateError> {
    let others = sources.from_file.len() + sources.from_literal.len();
    if !sources.from_env_file.is_empty() && others > 0 {
        return Err(GenerateError::Flags("from-env-file cannot be combined with from-file or from-literal"));
    }
    let mut entries = Entries::new();
    let literals = || sources.from_literal.iter().map(|source| literal(source)).collect::<Result<Entries, _>>();
    let files = || sources.from_file.iter().map(|source| file(source)).collect::<Result<Vec<Entries>, _>>();
    match what {
        "secret" => {
            entries.extend(literals()?);
            entries.extend(files()?.concat());
        }
        _ => {
            entries.extend(files()?.concat());
            entries.extend(literals()?);
        }
    }
    for path in &sources.from_env_file {
        entries.extend(env_file(path, what)?);
    }
    Ok(entries)
}

/// `key=value`.
pub fn literal(source: &str) -> Result<(String, Vec<u8>), GenerateError> {
    match source.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(GenerateError::Value(format!("invalid literal source {source}, expected key=value"))),
    }
}

/// `[key=]path`; a folder gives each of its files.
pub fn file(source: &str) -> Result<Entries, GenerateError> {
    let (key, path) = file_source(source)?;
    let meta = std::fs::metadata(&path).map_err(|e| unreadable(&path, &e))?;
    if !meta.is_dir() {
        return Ok(vec![(key, read(Path::new(&path))?)]);
    }
    if source.contains('=') {
        return Err(GenerateError::Flags("cannot give a key name for a directory path"));
    }
    let folder = std::fs::read_dir(&path)
        .map_err(|e| GenerateError::Value(format!("error listing files in {path}: {}", go_error(&e))))?;
    let mut files: Vec<_> = folder.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_file())).collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    files.iter().map(|e| Ok((e.file_name().to_string_lossy().into_owned(), read(&e.path())?))).collect()
}

fn file_source(source: &str) -> Result<(String, String), GenerateError> {
    match source.split('=').collect::<Vec<_>>().as_slice() {
        [path] => {
            let base = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
            Ok((base.to_owned(), (*path).to_owned()))
        }
        ["", path] => Err(GenerateError::Value(format!("key name for file path {path} missing"))),
        [key, ""] => Err(GenerateError::Value(format!("file path for key name {key} missing"))),
        [key, path] => Ok(((*key).to_owned(), (*path).to_owned())),
        _ => Err(GenerateError::Flags("key names or file paths cannot contain '='")),
    }
}

/// Lines of `KEY=value`; a bare key takes its value from our environment.
pub fn env_file(path: &str, what: &str) -> Result<Entries, GenerateError> {
    let meta = std::fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    if meta.is_dir() {
        let what = if what == "secret" { "secret" } else { "config" };
        return Err(GenerateError::Value(format!("env {what} file cannot be a directory")));
    }
    let text = read(Path::new(path))?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let mut entries = Entries::new();
    for (number, line) in text.split(|b| *b == b'\n').enumerate() {
        let line = std::str::from_utf8(line).map_err(|_| {
            GenerateError::Value(format!("env file {path} contains invalid utf8 bytes at line {}", number + 1))
        })?;
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, value.to_owned()),
            None => (line, std::env::var(line).unwrap_or_default()),
        };
        if let Some(why) = env_name_error(key) {
            return Err(GenerateError::Value(format!("{key:?} is not a valid key name: {why}")));
        }
        entries.push((key.to_owned(), value.into_bytes()));
    }
    Ok(entries)
}

/// Why a text is no name of an environment variable.
///
/// Upstream: `apimachinery/pkg/util/validation/validation.go` (`IsEnvVarName`).
pub fn env_name_error(name: &str) -> Option<String> {
    const FORM: &str = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or \
                        '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or \
                        'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')";
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    match name {
        "." | ".." => Some(format!("must not be '{name}'")),
        name if name.starts_with("..") => Some("must not start with '..'".into()),
        name if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_letter) => {
            Some(FORM.into())
        }
        _ => None,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, GenerateError> {
    use std::io::Read;
    let shown = path.display().to_string();
    let mut data = Vec::new();
    let open = std::fs::File::open(path).and_then(|f| f.take(MAX_FILE).read_to_end(&mut data));
    open.map_err(|e| GenerateError::Value(format!("open {shown}: {}", go_error(&e))))?;
    Ok(data)
}

fn unreadable(path: &str, error: &std::io::Error) -> GenerateError {
    GenerateError::File { path: path.into(), why: go_error(error) }
}

/// An error of the system as Go words it.
pub fn go_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text[..1].to_ascii_lowercase() + &text[1..]
}

/// Why a text is no key of a config map.
fn key_error(key: &str) -> Option<String> {
    const FORM: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    if key.len() > 253 {
        return Some("must be no more than 253 characters".into());
    }
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Some(FORM.into());
    }
    match key {
        "." => Some("must not be '.'".into()),
        ".." => Some("must not be '..'".into()),
        key if key.starts_with("..") => Some("must not start with '..'".into()),
        _ => None,
    }
}

/// A config map of entries; what is no text becomes binary data.
pub fn config_map(name: &str, entries: Entries, append_hash: bool) -> Result<Value, GenerateError> {
    let (mut data, mut binary) = (Map::new(), Map::new());
    for (key, value) in entries {
        if let Some(why) = key_error(&key) {
            return Err(GenerateError::Value(format!("{key:?} is not a valid key name for a ConfigMap: {why}")));
        }
        for (map, which) in [(&data, "Data"), (&binary, "BinaryData")] {
            if map.contains_key(&key) {
                return Err(GenerateError::Value(format!(
                    "cannot add key {key:?}, another key by that name already exists in {which} for ConfigMap {name:?}"
                )));
            }
        }
        match String::from_utf8(value) {
            Ok(text) => drop(data.insert(key, text.into())),
            Err(bytes) => drop(binary.insert(key, STANDARD.encode(bytes.as_bytes()).into())),
        }
    }
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    for (member, map) in [("data", data), ("binaryData", binary)] {
        if !map.is_empty() {
            object[member] = Value::Object(map);
        }
    }
    Ok(named(object, name, append_hash))
}

/// A secret of entries.
pub fn secret(name: &str, kind: &str, entries: Entries, append_hash: bool) -> Result<Value, GenerateError> {
    let mut data = Map::new();
    for (key, value) in entries {
        if let Some(why) = key_error(&key) {
            return Err(GenerateError::Value(format!("{key:?} is not valid key name for a Secret {why}")));
        }
        if data.insert(key.clone(), STANDARD.encode(value).into()).is_some() {
            return Err(GenerateError::Value(format!("cannot add key {key}, another key by that name already exists")));
        }
    }
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    if !kind.is_empty() {
        object["type"] = kind.into();
    }
    if !data.is_empty() {
        object["data"] = Value::Object(data);
    }
    Ok(named(object, name, append_hash))
}

fn named(mut object: Value, name: &str, append_hash: bool) -> Value {
    if append_hash {
        object["metadata"]["name"] = format!("{name}-{}", hash::of(&object)).into();
    }
    object
}

/// The configuration of a registry's user.
pub fn docker_registry(flags: &DockerRegistry) -> Result<Entries, GenerateError> {
    const KEY: &str = ".dockerconfigjson";
    let given = [&flags.docker_username, &flags.docker_password, &flags.docker_server];
    if flags.from_file.is_empty() && given.iter().any(|text| text.is_empty()) {
        return Err(GenerateError::Flags(
            "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required",
        ));
    }
    if !flags.from_file.is_empty() {
        let keyed = |source: &String| if source.contains('=') { source.clone() } else { format!("{KEY}={source}") };
        let files: Result<Vec<Entries>, _> = flags.from_file.iter().map(|s| file(&keyed(s))).collect();
        return Ok(files?.concat());
    }
    let (user, password) = (&flags.docker_username, &flags.docker_password);
    let pairs = [
        ("username", user.clone()),
        ("password", password.clone()),
        ("email", flags.docker_email.clone()),
        ("auth", STANDARD.encode(format!("{user}:{password}"))),
    ];
    // In the order of Go's struct, not sorted.
    let members: Vec<String> = pairs
        .iter()
        .filter(|(_, v)| !v.is_empty())
        .map(|(k, v)| format!("\"{k}\":{}", crate::apply::go_json(&v.as_str().into())))
        .collect();
    let server = crate::apply::go_json(&flags.docker_server.as_str().into());
    Ok(vec![(KEY.into(), format!("{{\"auths\":{{{server}:{{{}}}}}}}", members.join(",")).into_bytes())])
}

/// A certificate and its key.
pub fn tls(certificate: &str, key: &str) -> Result<Entries, GenerateError> {
    if certificate.is_empty() || key.is_empty() {
        return Err(GenerateError::Flags("key and cert must be specified"));
    }
    let read = |path: &str| {
        std::fs::read(path)
            .map_err(|e| GenerateError::Value(format!("Cannot read file {path}, open {path}: {}", go_error(&e))))
    };
    let (certificate, key) = (read(certificate)?, read(key)?);
    let chain = pki::pem::parse_certificates(&certificate, "cert");
    if chain.is_ok_and(|chain| chain.is_empty()) {
        return Err(GenerateError::Flags("tls: failed to find any PEM data in certificate input"));
    }
    if pki::pem::parse_private_key(&key, "key").is_err() {
        return Err(GenerateError::Flags("tls: failed to find any PEM data in key input"));
    }
    Ok(vec![("tls.crt".into(), certificate), ("tls.key".into(), key)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_files() {
        assert_eq!(literal("a=b=c").expect("fine"), ("a".into(), b"b=c".to_vec()));
        assert!(literal("=b").is_err() && literal("a").is_err());
        assert_eq!(file_source("x/y.txt").expect("fine"), ("y.txt".into(), "x/y.txt".into()));
        assert_eq!(file_source("k=y").expect("fine"), ("k".into(), "y".into()));
        for wrong in ["=y", "k=", "a=b=c"] {
            assert!(file_source(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn folders_and_env_files() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("b"), "2").expect("writes");
        std::fs::write(folder.path().join("a"), [0xff, 0xfe]).expect("writes");
        let found = file(folder.path().to_str().expect("text")).expect("reads");
        assert_eq!(found.iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let map = config_map("m", found, false).expect("a map");
        assert_eq!((&map["data"]["b"], &map["binaryData"]["a"]), (&json!("2"), &json!("//4=")));
        let env = folder.path().join("env");
        std::fs::write(&env, "# no\n\nA=1=2\n  B=x\n").expect("writes");
        let entries = env_file(env.to_str().expect("text"), "secret").expect("reads");
        assert_eq!(entries, [("A".to_owned(), b"1=2".to_vec()), ("B".to_owned(), b"x".to_vec())]);
        assert!(matches!(file("/no/such"), Err(GenerateError::File { why, .. }) if why == "no such file or directory"));
    }

    #[test]
    fn keys_are_checked_and_unique() {
        let one = |key: &str| (key.to_owned(), b"v".to_vec());
        assert!(config_map("m", vec![one("a b")], false).is_err());
        assert!(config_map("m", vec![one("a"), one("a")], false).is_err());
        assert!(secret("m", "", vec![one("..a")], false).is_err());
        let hashed = config_map("m", vec![one("a")], true).expect("a map");
        assert_eq!(hashed["metadata"]["name"].as_str().map(str::len), Some("m-0123456789".len()));
    }
}
