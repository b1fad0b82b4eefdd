//! From parser events to trees, within a budget.

use super::text::Text;
use super::{
    Entry, MAX_BYTES, MAX_DEPTH, MAX_MISTAKES, MAX_NODES, Node, Parsed, Style, Value, mistake,
    shown,
};
use crate::diagnostic::{Diagnostic, Span};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The most text in scalars, counting what aliases stand for each time.
const MAX_TEXT: usize = 2 * MAX_BYTES;

/// Reads all documents of an input. Never panics, whatever the bytes are.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let text = match Text::new(bytes) {
        Ok(text) => text,
        Err(diagnostics) => {
            return Parsed {
                documents: Vec::new(),
                diagnostics,
            };
        }
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text.text) {
        let done = match event {
            Ok((event, marks)) => builder.take(event, text.span(&marks.start, &marks.end)),
            Err(error) => Err(Box::new(syntax(&text, &error, builder.stack.last()))),
        };
        if let Err(fatal) = done {
            builder.diagnostics.push(*fatal);
            builder.documents.clear();
            return builder.finish();
        }
    }
    if builder.documents.is_empty() && builder.diagnostics.is_empty() {
        let span = Span {
            line: 1,
            column: 1,
            start: 0,
            end: 0,
        };
        let fix = "give a manifest or a scenario";
        let empty = mistake("yaml-empty", span, "the input has no document", fix);
        builder.diagnostics.push(empty);
    }
    builder.finish()
}

type Fatal = Box<Diagnostic>;

/// A collection that has begun and not ended.
struct Frame {
    span: Span,
    anchor: usize,
    cost: Cost,
    open: Open,
}

enum Open {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        seen: BTreeMap<String, Span>,
        key: Option<Key>,
    },
}

/// A key that waits for its value; without a name where the pair is to be dropped.
struct Key {
    name: Option<String>,
    span: Span,
}

/// What a node takes of the budget.
#[derive(Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    text: usize,
    depth: usize,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    diagnostics: Vec<Diagnostic>,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, (Node, Cost)>,
    spent: Cost,
}

impl Builder {
    fn finish(self) -> Parsed {
        Parsed {
            documents: self.documents,
            diagnostics: self.diagnostics,
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fatal> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd => Ok(()),
            Event::DocumentStart(_) | Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                let style = self.style(style, tag.as_deref(), span);
                self.scalar(text, style, anchor, span)
            }
            Event::SequenceStart(anchor, tag) => {
                self.tag(tag.as_deref(), "seq", span);
                self.open(Open::Sequence(Vec::new()), anchor, span)
            }
            Event::MappingStart(anchor, tag) => {
                self.tag(tag.as_deref(), "map", span);
                let open = Open::Mapping {
                    entries: Vec::new(),
                    seen: BTreeMap::new(),
                    key: None,
                };
                self.open(open, anchor, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: Style,
        anchor: usize,
        span: Span,
    ) -> Result<(), Fatal> {
        let cost = Cost {
            nodes: 1,
            text: text.len(),
            depth: 1,
        };
        self.spend(cost, span)?;
        let text = text.into_owned();
        let value = Value::Scalar { text, style };
        self.place(Node { span, value }, cost, anchor)
    }

    fn open(&mut self, open: Open, anchor: usize, span: Span) -> Result<(), Fatal> {
        let cost = Cost {
            nodes: 1,
            text: 0,
            depth: 1,
        };
        self.spend(cost, span)?;
        self.stack.push(Frame {
            span,
            anchor,
            cost,
            open,
        });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Fatal> {
        let frame = self
            .stack
            .pop()
            .expect("a collection ends only after it began");
        let (value, last) = match frame.open {
            Open::Sequence(items) => {
                let last = items.last().map(|item| item.span.end);
                (Value::Sequence(items), last)
            }
            Open::Mapping { entries, .. } => {
                let last = entries.last().map(|e| e.value.span.end.max(e.key_span.end));
                (Value::Mapping(entries), last)
            }
        };
        // In flow style the end is a character of its own; in block style it is where the last
        // element ends. An alias's element may stand anywhere before.
        let last = if end.end > end.start {
            Some(end.end)
        } else {
            last
        };
        let span = Span {
            end: last.unwrap_or(frame.span.end).max(frame.span.end),
            ..frame.span
        };
        self.place(Node { span, value }, frame.cost, frame.anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Fatal> {
        let Some((node, cost)) = self.anchors.get(&anchor) else {
            let fix = "write the value out";
            let message = "an alias refers to a value that contains it";
            return Err(Box::new(mistake("yaml-alias", span, message, fix)));
        };
        let cost = *cost;
        over(self.spent, cost, self.stack.len(), span)?;
        let node = node.clone();
        self.spend(cost, span)?;
        self.place(node, cost, 0)
    }

    /// Puts a complete node where it belongs.
    fn place(&mut self, node: Node, cost: Cost, anchor: usize) -> Result<(), Fatal> {
        if anchor > 0 {
            // A remembered node is a copy in memory, so it is paid for like any other.
            self.spend(cost, node.span)?;
            self.anchors.insert(anchor, (node.clone(), cost));
        }
        let Some(frame) = self.stack.last_mut() else {
            if node.core() != Some(super::Core::Null) {
                self.documents.push(node);
            }
            return Ok(());
        };
        frame.cost.nodes += cost.nodes;
        frame.cost.text += cost.text;
        frame.cost.depth = frame.cost.depth.max(cost.depth + 1);
        match &mut frame.open {
            Open::Sequence(items) => items.push(node),
            Open::Mapping { entries, seen, key } => match key.take() {
                None => *key = Some(begin(&node, seen, &mut self.diagnostics)),
                Some(Key { name: None, .. }) => {}
                Some(Key {
                    name: Some(name),
                    span,
                }) => entries.push(Entry {
                    key: name,
                    key_span: span,
                    value: node,
                }),
            },
        }
        Ok(())
    }

    fn spend(&mut self, cost: Cost, span: Span) -> Result<(), Fatal> {
        over(self.spent, cost, self.stack.len(), span)?;
        self.spent.nodes += cost.nodes;
        self.spent.text += cost.text;
        Ok(())
    }

    fn style(&mut self, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Style {
        let text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
        if !text {
            self.tag(tag, "str", span);
        }
        match style {
            ScalarStyle::Plain if !text => Style::Plain,
            ScalarStyle::Plain
            | ScalarStyle::SingleQuoted
            | ScalarStyle::DoubleQuoted
            | ScalarStyle::Literal
            | ScalarStyle::Folded => Style::Quoted,
        }
    }

    /// Only the tag that repeats what the node is anyway says nothing new.
    fn tag(&mut self, tag: Option<&Tag>, own: &str, span: Span) {
        let Some(tag) = tag else { return };
        if !(tag.is_yaml_core_schema() && tag.suffix == own) {
            let name = shown(&tag.suffix);
            let message = format!("the tag {name} has no meaning here");
            let fix = "remove the tag; put text in quotes, and write numbers without";
            report(
                &mut self.diagnostics,
                mistake("yaml-tag", span, message, fix),
            );
        }
    }
}

/// Judges the first half of a pair.
fn begin(node: &Node, seen: &mut BTreeMap<String, Span>, out: &mut Vec<Diagnostic>) -> Key {
    let span = node.head();
    let dropped = Key { name: None, span };
    let Value::Scalar { text, style } = &node.value else {
        let fix = "write a plain name in front of the colon";
        report(
            out,
            mistake(
                "yaml-key",
                span,
                "a key must be a name, not a collection",
                fix,
            ),
        );
        return dropped;
    };
    if *style == Style::Plain && text == "<<" {
        let message = "merge keys (`<<`) are not part of YAML 1.2";
        report(
            out,
            mistake("yaml-merge-key", span, message, "write the fields out"),
        );
        return dropped;
    }
    if text.is_empty() || text.chars().any(char::is_control) {
        let what = if text.is_empty() {
            "no name"
        } else {
            "a control character in its name"
        };
        let fix = "write a plain name in front of the colon";
        report(
            out,
            mistake("yaml-key", span, format!("a key has {what}"), fix),
        );
        return dropped;
    }
    if let Some(first) = seen.get(text) {
        let name = shown(text);
        let (line, column) = (first.line, first.column);
        let message = format!("{name} is given twice: first at line {line}, column {column}");
        report(
            out,
            mistake("yaml-duplicate-key", span, message, "remove one of the two"),
        );
        return dropped;
    }
    seen.insert(text.clone(), span);
    Key {
        name: Some(text.clone()),
        span,
    }
}

/// Keeps the first mistakes; after so many more would not help.
fn report(out: &mut Vec<Diagnostic>, mistake: Diagnostic) {
    if out.len() < MAX_MISTAKES {
        out.push(mistake);
    }
}

fn over(spent: Cost, cost: Cost, above: usize, span: Span) -> Result<(), Fatal> {
    let (code, message, fix) = if above + cost.depth > MAX_DEPTH {
        let message = format!("the nesting is deeper than {MAX_DEPTH} levels");
        (
            "yaml-too-deep",
            message,
            "remove the nesting; nothing here needs a tenth of it",
        )
    } else if spent.nodes + cost.nodes > MAX_NODES {
        let message = format!("the text has more than {MAX_NODES} keys and values");
        (
            "yaml-too-many-nodes",
            message,
            "write fewer; aliases count each time they are used",
        )
    } else if spent.text + cost.text > MAX_TEXT {
        let message = format!("the values are longer than {} MiB together", MAX_TEXT >> 20);
        (
            "yaml-too-large",
            message,
            "write less; aliases count each time they are used",
        )
    } else {
        return Ok(());
    };
    Err(Box::new(mistake(code, span, message, fix)))
}

fn syntax(text: &Text<'_>, error: &ScanError, open: Option<&Frame>) -> Diagnostic {
    let mark = error.marker();
    let span = text.span(mark, mark);
    if text.indented_by_tab(span) {
        let message = "this line is indented by a tab, which YAML does not allow";
        return mistake("yaml-tab", span, message, "indent with spaces");
    }
    let info = error.info();
    // A collection in brackets has its bracket as span, one in block style nothing.
    if let Some(Frame { span: bracket, .. }) = open.filter(|f| f.span.end > f.span.start)
        && info.contains("flow")
    {
        let message = format!("this bracket is still open at line {}: {info}", span.line);
        return mistake(
            "yaml-syntax",
            *bracket,
            message,
            "close it, or put a comma in between",
        );
    }
    let fix = if info.contains("mapping values") || info.contains("simple key") {
        "check the indentation, and put text that contains `: ` in quotes"
    } else if info.contains("anchor") {
        "define the anchor before it is used, in the same document"
    } else if info.contains("quoted") {
        "close the quotes"
    } else {
        "check indentation, quotes and brackets on this line and the one before"
    };
    mistake(
        "yaml-syntax",
        span,
        format!("this is not YAML: {info}"),
        fix,
    )
}
