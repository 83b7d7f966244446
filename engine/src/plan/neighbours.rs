//! Adjacency of a graph in compressed rows: one allocation for all lists, read by position.

/// For each position a sorted list of positions.
#[derive(Debug)]
pub(crate) struct Neighbours {
    /// Where each position's list begins; one more than there are positions.
    starts: Vec<u32>,
    lists: Vec<u32>,
}

impl Neighbours {
    /// The lists of `len` positions, from pairs (of, neighbour).
    pub(crate) fn new(len: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Neighbours {
        let mut starts = vec![0u32; len + 1];
        for (of, _) in pairs.clone() {
            starts[of as usize + 1] += 1;
        }
        for at in 0..len {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut lists = vec![0; starts[len] as usize];
        for (of, neighbour) in pairs {
            let at = &mut next[of as usize];
            lists[*at as usize] = neighbour;
            *at += 1;
        }
        let mut neighbours = Neighbours { starts, lists };
        for position in 0..len {
            let (start, end) = neighbours.range(position);
            neighbours.lists[start..end].sort_unstable();
        }
        neighbours
    }

    /// The list of a position; empty past the end.
    pub(crate) fn of(&self, position: usize) -> &[u32] {
        if position + 1 < self.starts.len() {
            let (start, end) = self.range(position);
            &self.lists[start..end]
        } else {
            &[]
        }
    }

    fn range(&self, position: usize) -> (usize, usize) {
        (
            self.starts[position] as usize,
            self.starts[position + 1] as usize,
        )
    }
}
