//! Bodies in JSON and YAML.
#![no_main]

use apimachinery::codec::{json, yaml};
use apiserver_fuzz::{check_stable, typed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((ty, text)) = typed(data) else { return };
    if let Ok(decoded) = json::decode(&ty, text) {
        check_stable(&ty, &decoded.value);
    }
    if let Ok(decoded) = yaml::decode(&ty, text) {
        check_stable(&ty, &decoded.value);
    }
    let _ = json::to_value(text);
});
