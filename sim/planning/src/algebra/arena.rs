//! Where decision diagrams live: each node once, found by its content.
//!
//! Two tables of integers with open addressing, hashed by the engine's own [`mix`]: lookups only,
//! nobody ever walks them, so that results never depend on an order in them. Knows neither what
//! levels are nor whether a diagram is of a function or of a family of sets.

use quorate_engine::random::mix;

/// A node's number. The first two are no nodes: what they mean is for the user of the arena.
pub(super) type Ref = u32;

/// False; or the family without a set.
pub(super) const ZERO: Ref = 0;
/// True; or the family of the empty set.
pub(super) const ONE: Ref = 1;
/// The level of both, below all others.
pub(super) const BOTTOM: u32 = u32::MAX;

const FREE: Ref = Ref::MAX;

/// A decision: children have deeper levels and smaller numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) level: u32,
    pub(super) low: Ref,
    pub(super) high: Ref,
}

impl Node {
    fn hash(self) -> u64 {
        hash(self.level, self.low, self.high)
    }
}

fn hash(a: u32, b: u32, c: u32) -> u64 {
    mix((u64::from(a) << 32 | u64::from(b)) ^ mix(u64::from(c)))
}

/// Nodes, each once.
#[derive(Debug, Clone)]
pub(super) struct Arena {
    nodes: Vec<Node>,
    table: Vec<Ref>,
}

impl Arena {
    pub(super) fn new() -> Self {
        let end = |r| Node {
            level: BOTTOM,
            low: r,
            high: r,
        };
        Self {
            nodes: vec![end(ZERO), end(ONE)],
            table: vec![FREE; 1 << 10],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, at: Ref) -> Node {
        self.nodes[at as usize]
    }

    /// The node with this content.
    pub(super) fn of(&mut self, level: u32, low: Ref, high: Ref) -> Ref {
        let node = Node { level, low, high };
        let mask = self.table.len() - 1;
        let mut slot = node.hash() as usize & mask;
        while self.table[slot] != FREE {
            if self.nodes[self.table[slot] as usize] == node {
                return self.table[slot];
            }
            slot = (slot + 1) & mask;
        }
        let at = self.nodes.len() as Ref;
        assert!(low < at && high < at, "children are made before parents");
        assert!(
            level < self.node(low).level && level < self.node(high).level,
            "levels grow downwards"
        );
        self.nodes.push(node);
        self.table[slot] = at;
        if self.nodes.len() * 2 > self.table.len() {
            self.rehash(self.table.len() * 2);
        }
        at
    }

    /// Forgets what was made since there were `len` nodes.
    pub(super) fn truncate(&mut self, len: usize) {
        assert!(len >= 2, "the ends stay");
        self.nodes.truncate(len);
        self.rehash(self.table.len());
    }

    fn rehash(&mut self, size: usize) {
        self.table = vec![FREE; size];
        for (at, node) in self.nodes.iter().enumerate().skip(2) {
            let mut slot = node.hash() as usize & (size - 1);
            while self.table[slot] != FREE {
                slot = (slot + 1) & (size - 1);
            }
            self.table[slot] = at as Ref;
        }
    }
}

/// Results of an operation on up to three nodes; a newer one may take an older one's place.
#[derive(Debug, Clone)]
pub(super) struct Memo {
    entries: Vec<([Ref; 3], Ref)>,
    kept: usize,
}

impl Memo {
    pub(super) fn new() -> Self {
        Self {
            entries: vec![([FREE; 3], FREE); 1 << 10],
            kept: 0,
        }
    }

    fn slot(&self, key: [Ref; 3]) -> usize {
        hash(key[0], key[1], key[2]) as usize & (self.entries.len() - 1)
    }

    pub(super) fn get(&self, key: [Ref; 3]) -> Option<Ref> {
        let (found, value) = self.entries[self.slot(key)];
        (found == key).then_some(value)
    }

    pub(super) fn put(&mut self, key: [Ref; 3], value: Ref) {
        if self.kept > self.entries.len() && self.entries.len() < 1 << 22 {
            let size = self.entries.len() * 4;
            let old = std::mem::replace(&mut self.entries, vec![([FREE; 3], FREE); size]);
            for (key, value) in old.into_iter().filter(|entry| entry.0 != [FREE; 3]) {
                let slot = self.slot(key);
                self.entries[slot] = (key, value);
            }
            self.kept = 0;
        }
        self.kept += 1;
        let slot = self.slot(key);
        self.entries[slot] = (key, value);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}
