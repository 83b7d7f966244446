//! Keys: how expressions name tasks.

use std::collections::HashMap;

/// The key of a task in expressions: its name in lower case, every other character `_`.
pub(crate) fn key_of(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect()
}

/// Which task a key names.
#[derive(Debug, Default)]
pub(crate) struct Keys(HashMap<String, Named>);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Named {
    One(u32),
    /// Several tasks share the key: a fault, but only where the key is used.
    Several,
}

impl Keys {
    /// The keys of task names, numbered in the order given.
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Keys {
        let mut keys = HashMap::new();
        for (at, name) in (0u32..).zip(names) {
            keys.entry(key_of(name))
                .and_modify(|named| *named = Named::Several)
                .or_insert(Named::One(at));
        }
        Keys(keys)
    }

    pub(crate) fn get(&self, key: &str) -> Option<Named> {
        self.0.get(key).copied()
    }
}
