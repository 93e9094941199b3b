//! The time to live by the size of the cluster. The steps overlap, so that a cluster at a boundary
//! does not go to and fro.

use k8s_openapi::api::core::v1::Node;

const TTL: &str = "node.alpha.kubernetes.io/ttl";

/// From so many nodes to so many: seconds.
const STEPS: &[(usize, usize, u32)] =
    &[(0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, usize::MAX, 300)];

/// How large the cluster is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    nodes: usize,
    step: usize,
}

impl Size {
    /// One node more.
    pub(super) fn grow(&mut self) {
        self.nodes += 1;
        if self.nodes > STEPS[self.step].1 {
            self.step += 1;
        }
    }

    /// One node less.
    pub(super) fn shrink(&mut self) {
        self.nodes = self.nodes.saturating_sub(1);
        if self.nodes < STEPS[self.step].0 {
            self.step -= 1;
        }
    }

    fn seconds(self) -> u32 {
        STEPS[self.step].2
    }
}

/// The node with the time that goes with this size; `None` if it has it.
pub(super) fn plan(node: &Node, size: Size) -> Option<Node> {
    let current = node.metadata.annotations.as_ref().and_then(|annotations| annotations.get(TTL));
    if current.and_then(|text| text.parse::<u32>().ok()) == Some(size.seconds()) {
        return None;
    }
    let mut after = node.clone();
    after.metadata.annotations.get_or_insert_default().insert(TTL.to_owned(), size.seconds().to_string());
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_overlap() {
        let mut size = Size::default();
        (0..100).for_each(|_| size.grow());
        assert_eq!(size.seconds(), 0);
        size.grow();
        assert_eq!(size.seconds(), 15);
        (0..11).for_each(|_| size.shrink());
        assert_eq!((size.nodes, size.seconds()), (90, 15));
        size.shrink();
        assert_eq!(size.seconds(), 0);
        (0..3000).for_each(|_| size.grow());
        assert_eq!(size.seconds(), 300);
    }

    #[test]
    fn only_a_difference_is_written() {
        let after = plan(&Node::default(), Size::default()).unwrap();
        assert_eq!(after.metadata.annotations.as_ref().unwrap()[TTL], "0");
        assert_eq!(plan(&after, Size::default()), None);
        assert!(plan(&after, Size { nodes: 200, step: 1 }).is_some());
    }
}
