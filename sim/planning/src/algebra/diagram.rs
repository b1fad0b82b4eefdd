//! A formula as a reduced ordered binary decision diagram.
//!
//! Bryant, Graph-Based Algorithms for Boolean Function Manipulation (1986). The order of events is
//! the caller's: a shared cause directly before what it takes keeps k-of-n over places small
//! (about nodes × count). Knows no probabilities.

use super::arena::{Arena, BOTTOM, Memo, Node, ONE, Ref, ZERO};
use super::forest::TooLarge;
use super::{EventId, Formula};

/// Makes diagrams that share what they have in common.
#[derive(Debug, Clone)]
pub(super) struct Builder {
    pub(super) arena: Arena,
    memo: Memo,
    /// Level of each event.
    levels: Vec<u32>,
    budget: usize,
    steps: usize,
}

/// Steps that are allowed for each node that is: a bound of the time, in a measure without clock.
const STEPS_FOR_NODE: usize = 32;

impl Builder {
    /// # Panics
    /// If an event stands twice in the order.
    pub(super) fn new(order: &[EventId], budget: usize) -> Self {
        let size = order.iter().map(|event| event.0 + 1).max().unwrap_or(0);
        let mut levels = vec![BOTTOM; size];
        for (level, event) in order.iter().enumerate() {
            assert_eq!(
                levels[event.0], BOTTOM,
                "an event has one place in the order"
            );
            levels[event.0] = level as u32;
        }
        Self {
            arena: Arena::new(),
            memo: Memo::new(),
            levels,
            budget,
            steps: 0,
        }
    }

    /// The same with room for so many nodes more.
    pub(super) fn with_room(self, nodes: usize) -> Self {
        let budget = self.arena.len() + nodes;
        Self { budget, ..self }
    }

    /// The diagram of a formula; what was made on the way is forgotten where it is too large.
    pub(super) fn of(&mut self, formula: &Formula) -> Result<Ref, TooLarge> {
        let before = self.arena.len();
        self.steps = 0;
        let made = self.build(formula);
        if made.is_err() {
            self.arena.truncate(before);
            self.memo.clear();
        }
        made.map(|(root, _)| root)
    }

    /// A diagram, and the deepest level in it.
    fn build(&mut self, formula: &Formula) -> Result<(Ref, u32), TooLarge> {
        match formula {
            Formula::Event(event) => {
                let level = self.levels[event.0];
                assert_ne!(level, BOTTOM, "every event has a place in the order");
                Ok((self.arena.of(level, ZERO, ONE), level))
            }
            Formula::Any(parts) => self.fold(parts, |builder, a, b| builder.or(a, b), ZERO),
            Formula::All(parts) => self.fold(parts, |builder, a, b| builder.ite(a, b, ZERO), ONE),
            Formula::AtLeast(count, parts) => {
                let mut children = self.children(parts)?;
                let depth = children.last().map_or(0, |child| child.1);
                children.dedup_by(|next, kept| {
                    let same = next.0 == kept.0;
                    if same {
                        kept.2 += next.2;
                    }
                    same
                });
                Ok((self.at_least(i64::from(*count), &children)?, depth))
            }
        }
    }

    /// Diagrams of parts, by the deepest level in them; each counts once.
    fn children(&mut self, parts: &[Formula]) -> Result<Vec<(Ref, u32, i64)>, TooLarge> {
        let mut children = Vec::with_capacity(parts.len());
        for part in parts {
            let (root, depth) = self.build(part)?;
            children.push((root, depth, 1));
        }
        children.sort_by_key(|child| (child.1, child.0));
        Ok(children)
    }

    /// Joins parts from the deepest up: what is made stays below what comes.
    fn fold(
        &mut self,
        parts: &[Formula],
        join: impl Fn(&mut Self, Ref, Ref) -> Result<Ref, TooLarge>,
        none: Ref,
    ) -> Result<(Ref, u32), TooLarge> {
        let children = self.children(parts)?;
        let mut all = none;
        for (root, ..) in children.iter().rev() {
            all = join(self, *root, all)?;
        }
        Ok((all, children.last().map_or(0, |child| child.1)))
    }

    pub(super) fn or(&mut self, a: Ref, b: Ref) -> Result<Ref, TooLarge> {
        self.ite(a, ONE, b)
    }

    /// At least `count` by weight.
    fn at_least(&mut self, count: i64, children: &[(Ref, u32, i64)]) -> Result<Ref, TooLarge> {
        let unit = children
            .iter()
            .fold(0, |unit, child| gcd(unit, child.2))
            .max(1);
        let count = (count + unit - 1).div_euclid(unit);
        let children: Vec<_> = children
            .iter()
            .map(|child| (child.0, child.2 / unit))
            .collect();
        let total = children.iter().map(|child| child.1).sum();
        match count {
            ..=0 => return Ok(ONE),
            _ if count > total => return Ok(ZERO),
            _ => {}
        }
        let end = Row {
            count,
            before: total,
            after: 0,
            first: 1,
            cells: Vec::new(),
        };
        let row = self.counted(&children, end)?;
        Ok(row.asked(count))
    }

    /// The row before these children, from the row after them. Children with a cause on top that
    /// they share are counted twice, with it and without, and joined once: not each by itself.
    fn counted(&mut self, children: &[(Ref, i64)], after: Row) -> Result<Row, TooLarge> {
        let (mut left, mut row) = (children, after);
        while let Some((last, _)) = left.last() {
            let top = self.arena.node(*last).level;
            let alike = |child: &&(Ref, i64)| self.arena.node(child.0).level == top;
            let run = left.iter().rev().take_while(alike).count();
            let (before, some) = left.split_at(left.len() - if top == BOTTOM { 1 } else { run });
            left = before;
            if let [(child, weight)] = some {
                row = self.joined(
                    *child,
                    &row.moved(*weight, true),
                    &row.moved(*weight, false),
                )?;
                continue;
            }
            let with: Vec<_> = some
                .iter()
                .map(|c| (self.arena.node(c.0).high, c.1))
                .collect();
            let without: Vec<_> = some
                .iter()
                .map(|c| (self.arena.node(c.0).low, c.1))
                .collect();
            let with = self.counted(&with, row.clone())?;
            let without = self.counted(&without, row)?;
            let shared = self.arena.of(top, ZERO, ONE);
            row = self.joined(shared, &with, &without)?;
        }
        Ok(row)
    }

    fn joined(&mut self, cond: Ref, with: &Row, without: &Row) -> Result<Row, TooLarge> {
        let mut cells = Vec::with_capacity(with.cells.len());
        for (then, other) in with.cells.iter().zip(&without.cells) {
            cells.push(self.ite(cond, *then, *other)?);
        }
        Ok(Row {
            cells,
            ..without.clone()
        })
    }

    fn ite(&mut self, cond: Ref, then: Ref, other: Ref) -> Result<Ref, TooLarge> {
        match (cond, then, other) {
            (ONE, ..) => return Ok(then),
            (ZERO, ..) => return Ok(other),
            (_, ONE, ZERO) => return Ok(cond),
            _ if then == other => return Ok(then),
            _ => {}
        }
        let key = [cond, then, other];
        if let Some(known) = self.memo.get(key) {
            return Ok(known);
        }
        self.steps += 1;
        if self.arena.len() > self.budget || self.steps > self.budget * STEPS_FOR_NODE {
            return Err(TooLarge);
        }
        let nodes = key.map(|at| (at, self.arena.node(at)));
        let level = nodes.iter().map(|(_, node)| node.level).min();
        let level = level.unwrap_or(BOTTOM);
        let [c, t, o] = nodes.map(|(at, node)| cofactors(at, node, level));
        let low = self.ite(c.0, t.0, o.0)?;
        let high = self.ite(c.1, t.1, o.1)?;
        let made = if low == high {
            low
        } else {
            self.arena.of(level, low, high)
        };
        self.memo.put(key, made);
        Ok(made)
    }
}

/// What is still asked of the children after a place in their list, for every count that can come
/// up there: functions of those children.
#[derive(Debug, Clone)]
struct Row {
    /// Asked of all children.
    count: i64,
    /// Weight of the children before.
    before: i64,
    /// Weight of those after.
    after: i64,
    /// The count of the first cell.
    first: i64,
    cells: Vec<Ref>,
}

impl Row {
    fn asked(&self, count: i64) -> Ref {
        match count {
            ..=0 => ONE,
            _ if count > self.after => ZERO,
            _ => self.cells[(count - self.first) as usize],
        }
    }

    /// The row before one more child that has failed, or that works.
    fn moved(&self, weight: i64, failed: bool) -> Self {
        let (before, after) = (self.before - weight, self.after + weight);
        let first = (self.count - before).max(1);
        let shift = if failed { weight } else { 0 };
        let cells = (first..=self.count.min(after)).map(|count| self.asked(count - shift));
        Self {
            count: self.count,
            before,
            after,
            first,
            cells: cells.collect(),
        }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn cofactors(at: Ref, node: Node, level: u32) -> (Ref, Ref) {
    if node.level == level {
        (node.low, node.high)
    } else {
        (at, at)
    }
}
