//! JUnit XML, for the test views of CI systems: a suite is a scenario, a case is a seed and an
//! expectation.
//!
//! There is no standard; this follows what Jenkins and GitLab read. `time` is left out: runs take
//! simulated time, and those views would add it up as real.

use super::json::fingerprint;
use super::{Campaign, Suite, plain};
use crate::outcome::{Held, Run, Unit, Verdict};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use std::io;

/// How a case ends in JUnit's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Passed,
    Skipped,
    Failed,
    /// The run itself says nothing.
    Broken,
}

fn ending(verdict: Verdict) -> Ending {
    match verdict {
        Verdict::Pass | Verdict::UnavailableByDesign => Ending::Passed,
        Verdict::Skipped => Ending::Skipped,
        Verdict::FailSlo | Verdict::FailLiveness | Verdict::FailSafety => Ending::Failed,
        Verdict::Invalid | Verdict::Nondeterministic => Ending::Broken,
    }
}

/// A campaign as JUnit XML. Ends with a line break.
///
/// # Panics
/// Never: writing to memory does not fail, and what is written is UTF-8.
#[must_use]
pub fn junit(campaign: &Campaign) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    report(&mut writer, campaign).expect("writing to memory does not fail");
    let mut text = String::from_utf8(writer.into_inner()).expect("only text was written");
    text.push('\n');
    text
}

/// The cases of a run. A bad verdict that no expectation has is a case of its own.
fn cases(run: &Run) -> Vec<Held> {
    let mut cases = run.expectations.clone();
    let told = cases.iter().any(|held| held.verdict == run.verdict);
    if cases.is_empty() || (!told && !run.verdict.holds()) {
        cases.push(Held {
            name: "the run as a whole".to_owned(),
            verdict: run.verdict,
            detail: String::new(),
            value: None,
            unit: Unit::None,
        });
    }
    cases
}

type Out = Writer<Vec<u8>>;

fn report(out: &mut Out, campaign: &Campaign) -> io::Result<()> {
    out.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let all: Vec<Held> = campaign
        .suites
        .iter()
        .flat_map(|suite| suite.runs.iter().flat_map(cases))
        .collect();
    let counts = counts(&all);
    out.create_element("testsuites")
        .with_attribute(("name", "quorate chaos"))
        .with_attributes(counts.iter().map(|(name, count)| (*name, count.as_str())))
        .write_inner_content(|out| {
            campaign
                .suites
                .iter()
                .try_for_each(|one| suite(out, &campaign.version, one))
        })?;
    Ok(())
}

fn counts(cases: &[Held]) -> [(&'static str, String); 4] {
    let count = |wanted: Ending| {
        let like = cases.iter().filter(|held| ending(held.verdict) == wanted);
        like.count().to_string()
    };
    [
        ("tests", cases.len().to_string()),
        ("failures", count(Ending::Failed)),
        ("errors", count(Ending::Broken)),
        ("skipped", count(Ending::Skipped)),
    ]
}

fn suite(out: &mut Out, version: &str, suite: &Suite) -> io::Result<()> {
    let all: Vec<Held> = suite.runs.iter().flat_map(cases).collect();
    let counts = counts(&all);
    out.create_element("testsuite")
        .with_attribute(("name", plain(&suite.scenario).as_str()))
        .with_attributes(counts.iter().map(|(name, count)| (*name, count.as_str())))
        .write_inner_content(|out| {
            for run in &suite.runs {
                for held in cases(run) {
                    case(out, version, suite, run, &held)?;
                }
            }
            Ok(())
        })?;
    Ok(())
}

fn case(out: &mut Out, version: &str, suite: &Suite, run: &Run, held: &Held) -> io::Result<()> {
    let seed = run.seed.to_string();
    let name = format!("seed {seed}: {}", plain(&held.name));
    let properties = [
        ("seed", seed),
        ("version", plain(version)),
        ("manifest", fingerprint(suite)),
        ("trace_hash", plain(&run.trace_hash)),
    ];
    out.create_element("testcase")
        .with_attribute(("classname", plain(&suite.scenario).as_str()))
        .with_attribute(("name", name.as_str()))
        .write_inner_content(|out| {
            out.create_element("properties")
                .write_inner_content(|out| {
                    for (name, value) in &properties {
                        out.create_element("property")
                            .with_attribute(("name", *name))
                            .with_attribute(("value", value.as_str()))
                            .write_empty()?;
                    }
                    Ok(())
                })?;
            let element = match ending(held.verdict) {
                Ending::Passed => return detail(out, held),
                Ending::Skipped => "skipped",
                Ending::Failed => "failure",
                Ending::Broken => "error",
            };
            trouble(out, element, held, &suite.replay(run.seed))
        })?;
    Ok(())
}

/// What was measured, also where all is well.
fn detail(out: &mut Out, held: &Held) -> io::Result<()> {
    if !held.detail.is_empty() {
        let text = plain(&held.detail);
        out.create_element("system-out")
            .write_text_content(BytesText::new(&text))?;
    }
    Ok(())
}

/// The text ends with the command that shows the run again.
fn trouble(out: &mut Out, element: &str, held: &Held, replay: &str) -> io::Result<()> {
    let message = match held.detail.as_str() {
        "" => held.verdict.to_string(),
        detail => format!("{}: {}", held.verdict, plain(detail)),
    };
    let text = format!("{message}\n{replay}");
    let verdict = held.verdict.to_string();
    out.create_element(element)
        .with_attribute(("type", verdict.as_str()))
        .with_attribute(("message", message.as_str()))
        .write_text_content(BytesText::new(&text))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use quick_xml::{Reader, XmlVersion};

    #[test]
    fn a_case_is_a_seed_and_an_expectation() {
        insta::assert_snapshot!(junit(&sample::campaign()));
    }

    #[test]
    fn a_run_that_says_nothing_is_an_error() {
        let suite = Suite {
            runs: vec![
                sample::bare(4, Verdict::Invalid),
                sample::bare(5, Verdict::Pass),
            ],
            ..Suite::default()
        };
        let text = junit(&Campaign {
            suites: vec![suite],
            ..Campaign::default()
        });
        assert!(
            text.contains(r#"tests="2" failures="0" errors="1" skipped="0""#),
            "{text}"
        );
        assert!(text.contains("--seed 4</error>"), "{text}");
    }

    #[test]
    fn hostile_names_stay_text() {
        let campaign = sample::hostile();
        let text = junit(&campaign);
        let allowed = |c: char| c == '\n' || !c.is_control();
        assert!(
            text.chars().all(allowed),
            "XML 1.0 has no such characters: {text:?}"
        );
        let mut reader = Reader::from_str(&text);
        let mut names = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                Event::Eof => break,
                Event::Start(tag) if tag.name().as_ref() == "testcase" => {
                    let name = tag.try_get_attribute("name").unwrap().unwrap();
                    names.push(
                        name.normalized_value(XmlVersion::Implicit1_0)
                            .unwrap()
                            .into_owned(),
                    );
                }
                _ => {}
            }
        }
        let hostile = &campaign.suites[0].runs[0].expectations[1].name;
        assert_eq!(names[1], format!("seed 9: {}", plain(hostile)));
    }
}
