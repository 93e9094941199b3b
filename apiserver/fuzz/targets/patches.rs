//! Patches of every type, each to an object that the input gives, too: two JSON texts with a zero
//! byte between them, after a byte for the type of the object and one for the type of the patch.
#![no_main]

use apimachinery::codec::json;
use apiserver_fuzz::{check_stable, typed};
use libfuzzer_sys::fuzz_target;
use rules::apply::{Reset, Writer};
use rules::patch;

fuzz_target!(|data: &[u8]| {
    let Some((ty, data)) = typed(data) else { return };
    let Some((kind, texts)) = data.split_first() else { return };
    let Some(middle) = texts.iter().position(|byte| *byte == 0) else { return };
    let Ok(live) = json::decode(&ty, &texts[..middle]) else { return };
    let Ok(change) = json::to_value(&texts[middle + 1..]) else { return };
    let live = live.value;
    let patched = match kind % 4 {
        0 => patch::json::apply(live, &change).ok(),
        1 => patch::merge::apply(live, &change).ok(),
        2 => patch::strategic::apply(&ty, live, &change).ok(),
        _ => {
            let writer = Writer {
                manager: "fuzzer",
                api_version: "v1",
                subresource: "",
                now: "2026-01-01T00:00:00Z",
                ty: &ty,
                reset: Reset::NOTHING,
                convert: &|_, _| None,
            };
            let Ok(config) = json::conform(&ty, &change) else { return };
            let mut tracked = live.clone();
            rules::apply::track(&writer, &live, &mut tracked);
            rules::apply::apply(&writer, &tracked, &config.value, change.get("force").is_some()).ok()
        }
    };
    if let Some(decoded) = patched.and_then(|patched| json::conform(&ty, &patched).ok()) {
        check_stable(&ty, &decoded.value);
    }
});
