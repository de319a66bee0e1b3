//! URLs: no value that is put into one may change which host it leads to.

use super::{FillAll as _, Gap, NO_PARAMETER, Parameters, given};
use crate::config::problem::Report;
use crate::config::tree::Node;
use crate::spec::{self, Misfit, Piece, Template};

/// Whose URL it is, which decides what its holes may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum UrlOf {
    /// Known when the configuration is read; the operator's own has no holes.
    Endpoint,
    /// Holes that are no parameters stay, for the answers of earlier steps.
    Request,
    /// They stay for the token's answer; without an optional parameter there is no URL.
    Api,
}

impl Parameters<'_> {
    pub(in crate::config) fn url(
        &mut self,
        node: &Node,
        path: &str,
        of: UrlOf,
        report: &mut Report,
    ) -> Result<Template, Gap> {
        let text = given(node)?;
        let members = of != UrlOf::Endpoint;
        if !node.is_providers() && !members {
            return Template::parse(&text.replace('{', "{{").replace('}', "}}"))
                .map_err(|error| self.problem(node, path, &error.to_string(), report));
        }
        let template = self.parse(node, text, path, report)?;
        let is_whole = matches!(template.pieces(), [Piece::Member(_)]);
        let mut pieces = Vec::new();
        let mut so_far = String::new();
        for piece in template.pieces() {
            let name = match piece {
                Piece::Text(literal) => {
                    so_far.push_str(literal);
                    pieces.push(piece.clone());
                    continue;
                }
                Piece::Member(name) => name,
                Piece::Apply(..) => {
                    let value = self.applied(piece, node, path, report)?;
                    let text = land(&so_far, &value, false).map_err(|wanted| {
                        self.problem(
                            node,
                            path,
                            &format!("has a function whose text {wanted}"),
                            report,
                        )
                    })?;
                    so_far.push_str(&text);
                    pieces.push(Piece::Text(text));
                    continue;
                }
            };
            let ours = node.is_providers() || is_built_in(name);
            let found = ours.then(|| self.lookup(name, report)).flatten();
            let (value, trusted) = match found {
                None if members => {
                    // Stands for a whole URL if in front, else for some text.
                    so_far.push_str(if so_far.is_empty() { "https://h" } else { "x" });
                    pieces.push(piece.clone());
                    continue;
                }
                None => return Err(self.problem(node, path, NO_PARAMETER, report)),
                Some(Err(Gap::Absent)) if of != UrlOf::Api => {
                    self.report_missing(name, report);
                    return Err(Gap::Reported);
                }
                Some(found) => found?,
            };
            let landed = land(&so_far, &value, trusted);
            let text =
                landed.map_err(|wanted| self.bad_parameter(name, &wanted.to_string(), report))?;
            // Nothing is put behind it; and an issuer is compared letter by letter.
            let verbatim = is_whole && of == UrlOf::Endpoint;
            let text = if verbatim { value } else { text };
            so_far.push_str(&text);
            pieces.push(Piece::Text(text));
        }
        Ok(Template::of(pieces))
    }

    /// The text of a function, whose holes must all be parameters: a URL is checked before anything
    /// is known of an answer.
    fn applied(
        &mut self,
        piece: &Piece,
        node: &Node,
        path: &str,
        report: &mut Report,
    ) -> Result<String, Gap> {
        let template = Template::of(vec![piece.clone()]);
        let filled = template.fill_all(|name| {
            let ours = node.is_providers() || is_built_in(name);
            match ours.then(|| self.lookup(name, report)).flatten() {
                Some(Err(Gap::Absent)) => {
                    self.report_missing(name, report);
                    Err(Gap::Reported)
                }
                Some(found) => found.map(|(text, _)| Some(text)),
                None => Err(self.problem(node, path, NO_PARAMETER, report)),
            }
        })?;
        filled.render(|_| None).map_err(|_hole| Gap::Reported)
    }

    fn bad_parameter(&self, name: &str, wanted: &str, report: &mut Report) -> Gap {
        let at = format!("integrations.{}.{name}", self.definition.id);
        match self.definition.table.get(name) {
            Some(node) => report.problem(node.file(), node.key(&at), wanted),
            None => report.problem(&self.definition.file, &at, wanted),
        }
        Gap::Reported
    }
}

/// What stands for a key of the operator's own, whoever wrote the hole.
pub(super) fn is_built_in(name: &str) -> bool {
    matches!(name, "client_id" | "username")
}

/// Checks and encodes a value for the place where it lands in a URL; the error says what would be
/// right there.
pub(in crate::config) fn land(before: &str, value: &str, trusted: bool) -> Result<String, Misfit> {
    if trusted {
        return Ok(value.to_owned());
    }
    spec::land(before, value)
}
