//! Bodies and stored objects in protobuf, with and without their envelope.
#![no_main]

use apimachinery::codec::protobuf;
use apiserver_fuzz::typed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((ty, bytes)) = typed(data) else { return };
    let message = protobuf::open(bytes).map_or(bytes, |envelope| envelope.raw);
    let Ok(value) = protobuf::decode(&ty, message) else { return };
    let encoded = protobuf::encode(&ty, &value);
    let again = protobuf::decode(&ty, &encoded).expect("what was encoded decodes");
    assert_eq!(protobuf::encode(&ty, &again), encoded);
});
