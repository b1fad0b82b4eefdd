//! XML as a tree: libvirt's documents are small, and most of them are looked at in several places.
//!
//! Escaped and unescaped by quick-xml. Knows nothing of what the elements mean.

use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer, XmlVersion};

/// An element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Element {
    /// With its prefix, where it has one.
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    /// All text directly in it, without white space around.
    pub(super) text: String,
}

/// An element without anything in it.
pub(super) fn element(name: &str) -> Element {
    Element {
        name: name.to_owned(),
        ..Element::default()
    }
}

impl Element {
    /// With one more attribute.
    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.attributes.push((name.to_owned(), value.to_string()));
        self
    }

    /// With text in it.
    pub(super) fn say(mut self, text: impl ToString) -> Self {
        self.text = text.to_string();
        self
    }

    /// With these elements in it, after those that are there.
    pub(super) fn hold(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// An attribute's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All elements directly in it with this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first element down this path of names.
    pub(super) fn at(&self, path: &str) -> Option<&Self> {
        let mut names = path.split('/');
        names.try_fold(self, |at, name| {
            at.children.iter().find(|child| child.name == name)
        })
    }

    /// As a document.
    pub(super) fn write(&self) -> String {
        let mut writer = Writer::new(Vec::new());
        self.write_to(&mut writer);
        String::from_utf8(writer.into_inner()).expect("XML is made of strings")
    }

    fn write_to(&self, writer: &mut Writer<Vec<u8>>) {
        let mut start = BytesStart::new(self.name.as_str());
        for (name, value) in &self.attributes {
            start.push_attribute((name.as_str(), value.as_str()));
        }
        let mut put = |event: Event<'_>| writer.write_event(event).expect("memory takes it");
        if self.children.is_empty() && self.text.is_empty() {
            return put(Event::Empty(start));
        }
        put(Event::Start(start));
        put(Event::Text(BytesText::new(&self.text)));
        for child in &self.children {
            child.write_to(writer);
        }
        let end = BytesEnd::new(self.name.as_str());
        writer
            .write_event(Event::End(end))
            .expect("memory takes it");
    }

    /// From a document; none where it is not well-formed.
    pub(super) fn parse(document: &str) -> Option<Self> {
        let mut reader = Reader::from_str(document);
        let mut open: Vec<Self> = Vec::new();
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => open.push(Self::begin(&start)?),
                Event::Empty(start) => {
                    let whole = Self::begin(&start)?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(whole),
                        None => return Some(whole),
                    }
                }
                Event::End(_) => {
                    let mut whole = open.pop()?;
                    whole.text = whole.text.trim().to_owned();
                    match open.last_mut() {
                        Some(parent) => parent.children.push(whole),
                        None => return Some(whole),
                    }
                }
                Event::Text(text) => {
                    if let Some(parent) = open.last_mut() {
                        parent
                            .text
                            .push_str(&text.xml_content(XmlVersion::Explicit1_0));
                    }
                }
                Event::CData(text) => open
                    .last_mut()?
                    .text
                    .push_str(&text.xml_content(XmlVersion::Explicit1_0)),
                Event::GeneralRef(name) => {
                    let known = name.resolve_char_ref().ok()?;
                    let whole = format!("&{};", &*name);
                    let text = match known {
                        Some(letter) => letter.to_string(),
                        None => quick_xml::escape::unescape(&whole).ok()?.into_owned(),
                    };
                    open.last_mut()?.text.push_str(&text);
                }
                Event::Eof => return None,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn begin(start: &BytesStart<'_>) -> Option<Self> {
        let mut new = element(start.name().as_ref());
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            let value = attribute.normalized_value(XmlVersion::Explicit1_0).ok()?;
            new = new.with(attribute.key.as_ref(), value);
        }
        Some(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_text_and_back() {
        let tree = element("domain").with("type", "lxc").hold([
            element("name").say("a<b & \"c\""),
            element("empty").with("x", "1 < 2 & 'three'"),
            element("os").hold([element("init").say("/sbin/init")]),
        ]);
        let text = tree.write();
        assert_eq!(Element::parse(&text), Some(tree.clone()), "{text}");
        assert_eq!(tree.at("os/init").unwrap().text, "/sbin/init");
        assert_eq!(tree.at("os/none"), None);
        assert_eq!(tree.all("name").count(), 1);
    }

    #[test]
    fn what_libvirt_writes_is_read() {
        let said = "<?xml version='1.0'?>\n<!-- edited -->\n<network connections='1'>\n  \
                    <name>a&amp;b&#x41;</name>\n  <ip address='10.0.0.1'>\n  </ip>\n</network>\n";
        let read = Element::parse(said).unwrap();
        assert_eq!(read.at("name").unwrap().text, "a&bA");
        assert_eq!(read.at("ip").unwrap().get("address"), Some("10.0.0.1"));
        assert_eq!(read.text, "");
        for broken in ["", "<a>", "<a></b>", "text", "<a>&unknown;</a>"] {
            assert_eq!(Element::parse(broken), None, "{broken}");
        }
    }
}
