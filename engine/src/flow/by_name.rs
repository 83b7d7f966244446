//! Operations without arguments: which upstream output each of their parameters takes.

use std::collections::HashMap;
use std::sync::Arc;

use petgraph::Direction::Incoming;

use super::edges::Shape;
use super::faults::Faults;
use super::{Definition, FlowSpec};
use crate::plan::NamedSource;
use crate::{Fault, loc};

/// The nearest upstream operation with an output of some name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Nearest {
    /// There is none.
    Nowhere,
    /// So many dependencies away, at this place.
    At(u32, u32),
    /// Two at the same distance.
    Tie(u32, [u32; 2]),
}

/// Sources of the parameters of every operation without arguments, by place.
pub(super) fn sources(
    spec: &FlowSpec,
    definitions: &[Option<&Arc<Definition>>],
    shape: &Shape,
    order: &[u32],
    faults: &mut Faults,
) -> HashMap<u32, Vec<NamedSource>> {
    let mut sources = HashMap::new();
    // Who takes a value of which name: place of the operation, and which of its sources.
    let mut takers: HashMap<&str, Vec<(u32, usize)>> = HashMap::new();
    for &place in order {
        let (Some(definition), None) = (
            definitions[place as usize],
            &spec.task_operations[place as usize].arguments,
        ) else {
            continue;
        };
        let parameters = definition.in_order();
        for (at, parameter) in parameters.iter().enumerate() {
            takers.entry(&parameter.name).or_default().push((place, at));
        }
        let open = |name: &String, optional| NamedSource {
            parameter: name.clone(),
            upstream: None,
            whole: false,
            optional,
        };
        let open = parameters
            .iter()
            .map(|known| open(&known.name, known.optional))
            .collect();
        sources.insert(place, open);
    }
    // Names in a fixed order, so that the same flow has the same list of faults.
    let mut takers: Vec<_> = takers.into_iter().collect();
    takers.sort_unstable();
    for (name, takers) in takers {
        let Some(nearest) = nearest(name, definitions, shape, order) else {
            continue;
        };
        for (place, at) in takers {
            let source = sources
                .get_mut(&place)
                .and_then(|sources: &mut Vec<_>| sources.get_mut(at));
            match (nearest[place as usize], source) {
                (Nearest::At(_, from), Some(source)) => {
                    source.upstream = Some(spec.task_operations[from as usize].index);
                    source.whole = definitions[from as usize].is_some_and(|from| from.gives_whole());
                }
                (Nearest::Tie(_, pair), _) => faults.add(|| {
                    let [one, other] = pair.map(|place| spec.shown_name(place));
                    let msg = format!(
                        "`{name}` could come from `{one}` or from `{other}`, which are equally near; \
                         say which with `arguments`"
                    );
                    Fault::new(loc!["task_operations", place as usize], "ambiguous_source", msg)
                }),
                _ => {}
            }
        }
    }
    sources
}

/// For each place the nearest operation upstream of it with an output `name`; none if nobody has one.
fn nearest(
    name: &str,
    definitions: &[Option<&Arc<Definition>>],
    shape: &Shape,
    order: &[u32],
) -> Option<Vec<Nearest>> {
    let gives: Vec<bool> = definitions
        .iter()
        .map(|known| {
            known.is_some_and(|known| known.outputs.iter().any(|output| output.name == name))
        })
        .collect();
    if !gives.contains(&true) {
        return None;
    }
    let mut nearest = vec![Nearest::Nowhere; gives.len()];
    for &place in order {
        let through = |parent: petgraph::graph::NodeIndex| {
            if gives[parent.index()] {
                return Nearest::At(1, parent.index() as u32);
            }
            match nearest[parent.index()] {
                Nearest::Nowhere => Nearest::Nowhere,
                Nearest::At(far, from) => Nearest::At(far + 1, from),
                Nearest::Tie(far, pair) => Nearest::Tie(far + 1, pair),
            }
        };
        let best = shape
            .graph
            .neighbors_directed(place.into(), Incoming)
            .map(through);
        nearest[place as usize] = best.fold(Nearest::Nowhere, Nearest::or);
    }
    Some(nearest)
}

impl Nearest {
    /// The nearer of two; equally near and not the same is a tie.
    fn or(self, other: Nearest) -> Nearest {
        match (self.distance(), other.distance()) {
            (None, _) => other,
            (_, None) => self,
            (Some(mine), Some(theirs)) if mine < theirs => self,
            (Some(mine), Some(theirs)) if mine > theirs => other,
            (Some(far), _) => match (self, other) {
                (Nearest::At(_, one), Nearest::At(_, two)) if one == two => self,
                (Nearest::At(_, one), Nearest::At(_, two)) => {
                    Nearest::Tie(far, [one.min(two), one.max(two)])
                }
                (Nearest::Tie(..), _) => self,
                _ => other,
            },
        }
    }

    fn distance(self) -> Option<u32> {
        match self {
            Nearest::Nowhere => None,
            Nearest::At(far, _) | Nearest::Tie(far, _) => Some(far),
        }
    }
}
