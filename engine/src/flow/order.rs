//! Topological order, the same for the same flow: ties go to the smaller index.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use petgraph::Direction::Incoming;

use super::FlowSpec;
use super::edges::Shape;

/// Places in topological order; those on or behind a cycle are left out.
pub(super) fn order(spec: &FlowSpec, shape: &Shape) -> Vec<u32> {
    let mut waits: Vec<usize> = shape
        .graph
        .node_indices()
        .map(|node| shape.graph.neighbors_directed(node, Incoming).count())
        .collect();
    let ready = |place: u32| Reverse((spec.task_operations[place as usize].index, place));
    let mut heap: BinaryHeap<Reverse<(u32, u32)>> = (0u32..)
        .zip(&waits)
        .filter(|(_, waits)| **waits == 0)
        .map(|(place, _)| ready(place))
        .collect();
    let mut order = Vec::with_capacity(waits.len());
    while let Some(Reverse((_, place))) = heap.pop() {
        order.push(place);
        for next in shape.graph.neighbors(place.into()) {
            waits[next.index()] -= 1;
            if waits[next.index()] == 0 {
                heap.push(ready(next.index() as u32));
            }
        }
    }
    order
}
