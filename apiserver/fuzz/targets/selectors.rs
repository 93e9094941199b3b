//! Label and field selectors, and the small texts that fields hold.
#![no_main]

use apimachinery::quantity::Quantity;
use apimachinery::selector::{FieldSelector, LabelSelector};
use apimachinery::time;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(selector) = LabelSelector::parse(text) {
        let _ = selector.matches(|_| Some("a"));
        assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
    }
    if let Ok(selector) = FieldSelector::parse(text) {
        let _ = selector.matches(|_| Some("a"));
        assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector));
    }
    if let Ok(quantity) = text.parse::<Quantity>() {
        let printed = quantity.to_string();
        let again: Quantity = printed.parse().expect("what was printed parses");
        assert_eq!((again, again.to_string()), (quantity, printed));
    }
    if let Some(nanos) = time::parse_go_nanos(text) {
        assert_eq!(time::parse_go_nanos(&time::format_go_duration(nanos)), Some(nanos));
    }
    if let Ok(canonical) = time::canonical(text) {
        assert_eq!(time::canonical(&canonical), Ok(canonical));
    }
});
