//! Requests that lead packets with a mark back to where they came from (`ip rule`, `ip route ... table`).

use super::route::{
    LOOPBACK_INDEX, RT_SCOPE_HOST, RTA_METRICS, RTA_OIF, RTAX_CC_ALGO, RTM_NEWROUTE, RTN_LOCAL, RTPROT_BOOT,
};
use super::{Batch, CREATE};

const RTM_NEWRULE: u16 = 32;
const FR_ACT_TO_TBL: u8 = 1;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;

/// An IP family, as a request needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl RuleFamily {
    const fn number(self) -> u8 {
        match self {
            RuleFamily::V4 => libc::AF_INET as u8,
            RuleFamily::V6 => libc::AF_INET6 as u8,
        }
    }
}

impl Batch {
    /// Looks packets with this mark up in `table`, before the main table is asked.
    pub fn rule_for_mark(&mut self, family: RuleFamily, mark: u32, table: u8, priority: u32) {
        let fixed = [family.number(), 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0];
        self.request(RTM_NEWRULE, CREATE, &fixed, |put| {
            put.put(FRA_PRIORITY, &priority.to_ne_bytes()).put(FRA_FWMARK, &mark.to_ne_bytes());
        });
    }

    /// Makes every address one of this host's own in `table`: what is looked up there comes in over `lo`.
    pub fn everything_is_local(&mut self, family: RuleFamily, table: u8, congestion: &str) {
        let fixed = [family.number(), 0, 0, 0, table, RTPROT_BOOT, RT_SCOPE_HOST, RTN_LOCAL, 0, 0, 0, 0];
        self.request(RTM_NEWROUTE, CREATE, &fixed, |put| {
            put.put(RTA_OIF, &LOOPBACK_INDEX.to_ne_bytes());
            put.nest(RTA_METRICS, |metrics| {
                metrics.put(RTAX_CC_ALGO, congestion.as_bytes());
            });
        });
    }
}
