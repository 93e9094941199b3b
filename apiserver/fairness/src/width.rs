//! How many seats a request takes.
//!
//! Upstream: `apiserver/pkg/util/flowcontrol/request`.

/// Objects that a list handles on one seat.
const OBJECTS: usize = 100;
/// Most seats of one request.
const MAX: u32 = 10;

/// Seats of a list of a resource of which `stored` objects exist. Lists are answered from the
/// cache, so that all objects are looked at, whatever is selected; a limit ends that earlier.
pub fn list(stored: usize, limit: usize) -> u32 {
    let handled = if limit > 0 { stored.min(limit) } else { stored };
    u32::try_from(handled.div_ceil(OBJECTS)).unwrap_or(MAX).clamp(1, MAX)
}

/// Seats of everything else.
pub const ONE: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_as_wide_as_their_resource() {
        for (stored, limit, want) in
            [(0, 0, 1), (100, 0, 1), (101, 0, 2), (5000, 0, 10), (5000, 250, 3), (50, 500, 1), (usize::MAX, 0, 10)]
        {
            assert_eq!(list(stored, limit), want, "{stored} {limit}");
        }
    }
}
