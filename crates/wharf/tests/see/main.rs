//! The verbs that look: what they show, against what is there.

mod why;
