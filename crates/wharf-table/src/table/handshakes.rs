//! What stands for a TCP connection before and after it is a flow: requests and waiting rows.

use super::*;

impl Table {
    /// Opens a request: a SYN came for a listener. It is found by its tuple until it is closed or promoted.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when the tuple is taken; [`OpenError::Full`] at the maximum of requests.
    pub fn open_request(&mut self, request: &Request) -> Result<RequestId, OpenError> {
        if self.requests.is_full() {
            return Err(OpenError::Full);
        }
        let hash = self.key.hash_tuple(&request.tuple);
        self.check_free(hash, &request.tuple)?;
        let id = self.requests.open(&self.key, chained(hash), request);
        self.take(&request.tuple, None);
        Ok(id)
    }

    /// The request with this number.
    pub fn request(&self, id: RequestId) -> Option<Request> {
        self.requests.request(id)
    }

    /// What the stack keeps with a request, to change it.
    pub fn request_payload_mut(&mut self, id: RequestId) -> Option<&mut RequestPayload> {
        self.requests.payload_mut(id)
    }

    /// Closes a request and hands it back.
    pub fn close_request(&mut self, id: RequestId) -> Option<Request> {
        let hash = self.key.hash_tuple(&self.requests.request(id)?.tuple);
        let request = self.requests.close(&self.key, chained(hash), id)?;
        self.free(&request.tuple, None);
        Some(request)
    }

    /// The request that came last to a listener and is still open. To close all of a listener costs as much as it has.
    pub fn newest_request(&self, listener: BindingId) -> Option<RequestId> {
        self.requests.newest_of(listener)
    }

    /// Turns a request into a flow that its listener accepted ([`Origin::Child`]).
    ///
    /// # Errors
    /// As [`Table::open`]; the request stays then. [`OpenError::NoBinding`] also when there is no such request.
    pub fn promote(&mut self, id: RequestId, far: Far, now: Instant) -> Result<FlowId, OpenError> {
        self.flows.check_room()?;
        let request = self.requests.request(id).ok_or(OpenError::NoBinding)?;
        if let Far::Wire(far) = far {
            self.check_free(self.key.hash_tuple(&far), &far)?;
        }
        let origin = Origin::Child(request.listener);
        let owned = self.marks_of(&request.tuple, origin)?;
        let hash = self.key.hash_tuple(&request.tuple);
        self.requests.close(&self.key, chained(hash), id);
        Ok(self.open_free((hash, request.tuple), far, origin, owned, now))
    }

    /// How many requests are open.
    pub fn request_count(&self) -> u32 {
        self.requests.count()
    }

    /// The requests behind `after`, as [`Table::flows_after`].
    pub fn requests_after(&self, after: Option<RequestId>) -> impl Iterator<Item = (RequestId, Request)> {
        self.requests.after(after)
    }

    /// Turns a TCP flow into a waiting row that goes at `expires` (RFC 9293, section 3.3.2, TIME-WAIT). It goes on holding
    /// the port, with the user and the options that the socket had. A binding whose socket it was stays, and is no longer
    /// connected. `None` when there is no such flow, or it is not TCP.
    ///
    /// Rows go in the order in which they came: give all the same time. Times further than 18 hours apart are confused.
    pub fn to_waiting(&mut self, id: FlowId, payload: WaitingPayload, expires: Instant) -> Option<WaitingId> {
        let flow = self.flows.flow(id)?;
        if flow.tuple().protocol != Protocol::Tcp {
            return None;
        }
        let marks = match flow.bound().and_then(|id| self.bindings.binding(id)) {
            Some(binding) => {
                let v6_open = binding.is_v6_open() && !flow.tuple().local.addr.is_v4();
                let open = if v6_open { marks::V6_OPEN } else { 0 };
                marks::OWNER | Class::new(binding.sharing()).marks() | open
            }
            None => flow.marks & WAITING_MARKS,
        };
        let (tuple, owned) = (*flow.tuple(), owner_of(flow.tuple(), flow.marks, flow.holder));
        let hash = self.key.hash_tuple(&tuple);
        match (owned, waiting_owner(&tuple, marks)) {
            (Some(before), Some(after)) => {
                self.ports.change(&before, &after);
                self.close_unowned(hash, id)?;
            }
            (_, after) => {
                // The port must not be forgotten in between.
                if let Some(owner) = after {
                    self.ports.add(&owner, Arrival::Quiet);
                }
                self.close(id)?;
            }
        }
        let id = self.waits.open(&self.key, chained(hash), &Waiting { tuple, payload, expires }, marks);
        self.take(&tuple, None);
        Some(id)
    }

    /// The socket of a flow is closed while its connection goes on: the claim is given up, and the flow holds the port by
    /// itself, with the user and the options that the socket had. `None` when the flow has no binding; nothing changes
    /// then.
    pub fn orphan(&mut self, id: FlowId) -> Option<()> {
        let flow = self.flows.flow(id)?;
        let bound = flow.bound()?;
        let binding = self.bindings.binding(bound)?;
        let v6_open = binding.is_v6_open() && !flow.tuple().local.addr.is_v4();
        let open = if v6_open { marks::V6_OPEN } else { 0 };
        let marks = marks::OWNER | Class::new(binding.sharing()).marks() | open;
        let (tuple, holder) = (*flow.tuple(), binding.user().0);
        // The port must not be forgotten in between.
        if let Some(owner) = owner_of(&tuple, marks, holder) {
            self.ports.add(&owner, Arrival::Quiet);
        }
        self.unbind(bound);
        let flow = self.flows.flow_mut(id)?;
        (flow.marks, flow.holder) = (marks, holder);
        Some(())
    }

    /// The waiting row with this number.
    pub fn waiting(&self, id: WaitingId) -> Option<Waiting> {
        self.waits.waiting(id)
    }

    /// What the stack keeps with a waiting row, to change it.
    pub fn waiting_payload_mut(&mut self, id: WaitingId) -> Option<&mut WaitingPayload> {
        self.waits.payload_mut(id)
    }

    /// Puts off when a waiting row goes, as a FIN that comes again does (RFC 9293, section 3.10.7.4). None goes early; one
    /// that comes behind may go late, by as much as this one was put off.
    pub fn renew_waiting(&mut self, id: WaitingId, expires: Instant) -> Option<()> {
        self.waits.renew(id, expires)
    }

    /// Takes a waiting row away before its time: its tuple is used again (RFC 6191).
    pub fn close_waiting(&mut self, id: WaitingId) -> Option<Waiting> {
        let (waiting, marks) = self.waits.close(&self.key, id)?;
        self.forget_waiting(&waiting, marks);
        Some(waiting)
    }

    /// Takes the waiting rows away whose time has come, and tells how many. The cost is that of those.
    pub fn expire_waiting(&mut self, now: Instant) -> usize {
        let mut expired = 0;
        while let Some((waiting, marks)) = self.waits.expire(&self.key, now) {
            self.forget_waiting(&waiting, marks);
            expired += 1;
        }
        expired
    }

    /// When [`Table::expire_waiting`] should be called next; `None` while nothing waits.
    pub fn next_waiting_expiry(&self) -> Option<Instant> {
        self.waits.next_expiry()
    }

    /// How many connections wait.
    pub fn waiting_count(&self) -> u32 {
        self.waits.count()
    }

    /// The waiting rows behind `after` in the order in which they came, as [`Table::flows_after`].
    pub fn waiting_after(&self, after: Option<WaitingId>) -> impl Iterator<Item = (WaitingId, Waiting)> {
        self.waits.after(after)
    }

    fn forget_waiting(&mut self, waiting: &Waiting, marks: u8) {
        if let Some(owner) = waiting_owner(&waiting.tuple, marks) {
            self.ports.remove(&owner);
        }
        self.free(&waiting.tuple, None);
    }
}

/// The marks of a flow that a waiting row keeps.
const WAITING_MARKS: u8 =
    marks::OWNER | marks::REUSE_ADDRESS | marks::REUSE_PORT | marks::IMPLICIT | marks::V6_OPEN;

/// What a waiting row owns. Its user no longer matters (rule 3 of the ports).
fn waiting_owner(tuple: &Tuple, marks: u8) -> Option<Owner> {
    let owner = owner_of(tuple, marks, User::ROOT.0)?;
    Some(Owner { class: owner.class.waiting(), ..owner })
}
