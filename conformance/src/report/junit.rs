//! The report as JUnit XML, as continuous integration services read it.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::{CaseReport, Outcome, Report};

pub(super) fn write(report: &Report) -> String {
    let mut xml = String::new();
    write_to(&mut xml, report).expect("writing to a string succeeds");
    xml
}

fn write_to(xml: &mut String, report: &Report) -> fmt::Result {
    let provider = report.provider_name();
    let failures = report.cases.iter().filter(|case| case.outcome.is_failure()).count();
    writeln!(xml, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(
        xml,
        r#"<testsuite name="conformance {}" tests="{}" failures="{failures}" errors="{}" skipped="{}" time="{}">"#,
        Escaped(provider),
        report.cases.len() + report.problems.len(),
        report.problems.len(),
        report.count(Outcome::Skipped) + report.count(Outcome::KnownIssue),
        Seconds(report.elapsed),
    )?;
    writeln!(xml, "  <properties>")?;
    writeln!(xml, r#"    <property name="seed" value="{}"/>"#, report.seed)?;
    writeln!(xml, r#"    <property name="level" value="{}"/>"#, Escaped(&report.level))?;
    writeln!(xml, r#"    <property name="requests" value="{}"/>"#, report.requests())?;
    writeln!(xml, "  </properties>")?;
    for case in &report.cases {
        write_case(xml, provider, case)?;
    }
    for problem in &report.problems {
        writeln!(xml, r#"  <testcase classname="{}" name="run" time="0">"#, Escaped(provider))?;
        writeln!(xml, r#"    <error message="{}"/>"#, Escaped(problem))?;
        writeln!(xml, "  </testcase>")?;
    }
    writeln!(xml, "</testsuite>")
}

fn write_case(xml: &mut String, provider: &str, case: &CaseReport) -> fmt::Result {
    write!(
        xml,
        r#"  <testcase classname="{}" name="{}" time="{}""#,
        Escaped(provider),
        case.id,
        Seconds(case.elapsed)
    )?;
    let detail = Escaped(&case.detail);
    let inside = match case.outcome {
        Outcome::Pass if case.detail.is_empty() => return writeln!(xml, "/>"),
        Outcome::Fail | Outcome::OverClaim => format!(
            r#"<failure type="{}" message="{detail}">required: {}</failure>"#,
            case.outcome.label(),
            Escaped(case.requires)
        ),
        Outcome::Skipped => format!(r#"<skipped message="{detail}"/>"#),
        Outcome::KnownIssue => format!(r#"<skipped message="known issue: {detail}"/>"#),
        Outcome::Pass | Outcome::UnderClaim | Outcome::UnexpectedPass => {
            format!("<system-out>{}: {detail}</system-out>", case.outcome)
        }
    };
    writeln!(xml, ">\n    {inside}\n  </testcase>")
}

/// With three digits after the point, as JUnit has them.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0.as_secs_f64())
    }
}

/// Text within XML, in an attribute or outside. What XML 1.0 cannot hold is replaced.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\n' => f.write_str("&#10;")?,
                '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                _ if character.is_control() => f.write_char('\u{fffd}')?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}
