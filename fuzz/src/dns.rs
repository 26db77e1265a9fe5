//! Every message can be walked to its end and answered.

use wharf_wire::dns::{Message, Rcode, ResponseRepr};

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else { return };
    for record in message.records() {
        let name = record.name.to_name();
        assert!(record.name == name && name.wire().len() <= 255);
        assert_eq!(name.to_string().parse(), Ok(name));
    }
    let mut buf = [0; 512];
    let len = ResponseRepr::to(&message, Rcode::SERVER_FAILURE).emit(&mut buf);
    let response = Message::parse(&buf[..len]).expect("what we write we can read");
    assert_eq!(
        response.question().map(|question| question.name.to_name()),
        message.question().map(|question| question.name.to_name()),
    );
}
