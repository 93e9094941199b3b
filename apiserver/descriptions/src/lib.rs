//! The texts of the API's types, as OpenAPI documents and `kubectl explain` show them. They are
//! upstream's, taken from `k8s-openapi` when this crate is built, and lie in the binary compressed:
//! nothing of them is in memory but while documents are made.

use apimachinery::openapi::Texts;
use flate2::read::DeflateDecoder;

static COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/texts.deflate"));

/// All texts, unpacked.
pub fn texts() -> Texts {
    let unpacked = serde_json::from_reader(std::io::BufReader::new(DeflateDecoder::new(COMPRESSED)));
    Texts::new(unpacked.expect("the build script wrote it: tested"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::openapi::Documents;
    use apimachinery::{Value, resources};

    #[test]
    fn types_and_members_have_texts() {
        let texts = texts();
        let pod = "io.k8s.api.core.v1.PodSpec";
        assert!(texts.of_type(pod).is_some_and(|text| text.starts_with("PodSpec is a description of a pod")));
        assert!(texts.of_member(pod, "nodeName").is_some_and(|text| text.contains("schedul")));
        let event = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent";
        assert!(texts.of_type(event).is_some_and(|text| !text.contains('\n')));
        assert!(texts.of_member(event, "object").is_some_and(|text| text.starts_with("Object is:")));
        assert_eq!((texts.of_type("io.example.v1.None"), texts.of_member(pod, "none")), (None, None));
    }

    #[test]
    fn every_type_that_is_served_has_a_text() {
        let documents = Documents::new(resources::builtin(), texts);
        let v2 = documents.v2(&[], &apimachinery::Map::new());
        let definitions = v2["definitions"].as_object().expect("definitions");
        let bare = |schema: &Value| schema.get("description").is_none();
        let missing: Vec<&String> = definitions.iter().filter(|(_, s)| bare(s)).map(|(name, _)| name).collect();
        assert_eq!(missing, Vec::<&String>::new());
    }

    #[test]
    fn the_texts_stay_small() {
        assert!(COMPRESSED.len() < 400_000, "{} bytes", COMPRESSED.len());
    }
}
