//! ICMP messages by the names of their types and codes (RFC 792; RFC 1812, section 5.2.7.1; RFC 4443).

use super::super::lexer::Token;
use super::super::packet::{Body, Icmp};
use super::super::setting::IpVersion;
use super::super::syntax::{PacketLine, SyntaxError};
use super::Parser;

/// Type, its name, and the names of its codes.
type Kind = (u8, &'static str, &'static [(u8, &'static str)]);

const V4: &[Kind] = &[
    (0, "echo_reply", &[]),
    (
        3,
        "unreachable",
        &[
            (0, "net_unreachable"),
            (1, "host_unreachable"),
            (2, "protocol_unreachable"),
            (3, "port_unreachable"),
            (4, "frag_needed"),
            (5, "source_route_failed"),
            (6, "net_unknown"),
            (7, "host_unknown"),
            (8, "source_host_isolated"),
            (9, "net_prohibited"),
            (10, "host_prohibited"),
            (11, "net_unreachable_for_tos"),
            (12, "host_unreachable_for_tos"),
            (13, "packet_filtered"),
            (14, "precedence_violation"),
            (15, "precedence_cutoff"),
        ],
    ),
    (4, "source_quench", &[]),
    (5, "redirect", &[(0, "net"), (1, "host"), (2, "tos_net"), (3, "tos_host")]),
    (8, "echo_request", &[]),
    (11, "time_exceeded", &[(0, "exceeded_ttl"), (1, "exceeded_frag_time")]),
    (12, "parameter_problem", &[]),
];

const V6: &[Kind] = &[
    (
        1,
        "unreachable",
        &[
            (0, "no_route"),
            (1, "admin_prohibited"),
            (2, "not_neighbour"),
            (3, "address_unreachable"),
            (4, "port_unreachable"),
            (5, "policy_fail"),
            (6, "reject_route"),
            // Another name for the first.
            (0, "net_unreachable"),
        ],
    ),
    (2, "packet_too_big", &[]),
    (3, "time_exceeded", &[(0, "exceeded_hop_limit"), (1, "exceeded_frag_time")]),
    (4, "parameter_problem", &[(0, "header_field"), (1, "unknown_next_header"), (2, "unknown_option")]),
    (128, "echo_request", &[]),
    (129, "echo_reply", &[]),
];

impl Parser {
    /// Behind `icmp`: type, code, `mtu`, `id` and what is quoted.
    pub(super) fn icmp(&mut self, line: &mut PacketLine) -> Result<(), SyntaxError> {
        let kinds = if self.version == IpVersion::V6 { V6 } else { V4 };
        let mut icmp = Icmp::default();
        let Token::Word(word) = self.token().clone() else { return Err(self.expected("a type of ICMP")) };
        let codes = match (kinds.iter().find(|(_, name, _)| *name == word), numbered(&word, "type_")) {
            (Some((kind, _, codes)), _) => {
                icmp.kind = *kind;
                *codes
            }
            (None, Some(kind)) => {
                icmp.kind = kind;
                &[]
            }
            (None, None) => return Err(self.expected("a type of ICMP")),
        };
        self.advance();
        if let Token::Word(word) = self.token() {
            let named = codes.iter().find(|(_, name)| name == word).map(|(code, _)| *code);
            if let Some(code) = named.or_else(|| numbered(word, "code_")) {
                icmp.code = code;
                self.advance();
            } else if !matches!(word.as_str(), "mtu" | "id") {
                return Err(self.expected("a code of this type of ICMP"));
            }
        }
        if self.eat_word("mtu") {
            icmp.word = self.u32("an MTU")?;
        }
        if self.eat_word("id") {
            icmp.word = u32::from(self.u16("an identifier")?) << 16;
        }
        if self.is_sign('[') {
            line.quote = Some(self.quote()?);
        }
        line.packet.body = Body::Icmp(icmp);
        Ok(())
    }
}

/// The number in `type_3` or `code_13`.
fn numbered(word: &str, prefix: &str) -> Option<u8> {
    word.strip_prefix(prefix)?.parse().ok()
}
