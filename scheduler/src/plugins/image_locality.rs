//! Rather nodes that have the images; an image that few nodes have counts less, lest all pods go
//! there.

use crate::cluster::Cluster;
use crate::framework::{MAX_SCORE, Score};
use crate::model::{NodeId, Pod};

/// The plugin.
#[derive(Debug)]
pub(super) struct ImageLocality;

/// Below this sum an image is pulled quickly anyway.
const SMALL: i64 = 23 << 20;
/// Per container, what is more than this does not count.
const LARGE_PER_CONTAINER: i64 = 1000 << 20;

impl Score for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn concerns(&self, _cluster: &Cluster, pod: &Pod) -> bool {
        !pod.images.is_empty()
    }

    fn score(&self, cluster: &Cluster, pod: &Pod, nodes: &[NodeId], scores: &mut [i64]) {
        let columns = &cluster.nodes;
        let total = columns.live().len().max(1) as f64;
        let images: Vec<(String, f64)> = pod
            .images
            .iter()
            .map(|image| normalized(image))
            .map(|image| {
                let having = columns.live().iter().filter(|&&node| columns.images[node as usize].contains_key(&image));
                let spread = having.count() as f64 / total;
                (image, spread)
            })
            .filter(|(_, spread)| *spread > 0.0)
            .collect();
        let large = LARGE_PER_CONTAINER * i64::try_from(pod.images.len()).unwrap_or(1);
        for (&node, score) in nodes.iter().zip(scores) {
            let present = &columns.images[node as usize];
            let sum =
                |(image, spread): &(String, f64)| present.get(image).map_or(0, |size| (*size as f64 * spread) as i64);
            let sum: i64 = images.iter().map(sum).sum();
            *score = (sum.clamp(SMALL, large) - SMALL) * MAX_SCORE / (large - SMALL);
        }
    }
}

/// With the tag `latest` if it has neither tag nor digest, as nodes report it.
fn normalized(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || last.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builders::{node, pod};
    use crate::plugins::testing::{cluster, scores};

    #[test]
    fn images_are_named_as_nodes_name_them() {
        for (image, full) in
            [("a", "a:latest"), ("r:5000/a", "r:5000/a:latest"), ("a:1", "a:1"), ("a@sha256:1", "a@sha256:1")]
        {
            assert_eq!(normalized(image), full);
        }
    }

    #[test]
    fn a_node_with_a_large_image_scores() {
        let mut with = node().facts();
        with.images.insert("big:latest".into(), 1600 << 20);
        let cluster = cluster(vec![("with", with), ("without", node().facts())], vec![]);
        let pod = pod("p").spec("containers", serde_json::json!([{"name": "c", "image": "big"}])).build();
        assert_eq!(scores(&ImageLocality, &cluster, &pod), [79, 0]);
    }
}
