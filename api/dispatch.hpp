#pragma once
// From the header of a request to the answer of its handler, without the HTTP library. Private to api/.

#include <string_view>

#include "api/session.hpp"

namespace cpns::api::detail {

struct header_view {
  std::string_view verb, target;
  std::string_view host, origin, fetch_site, content_type, request_id, last_event;
};

struct prepared {
  const route* to = nullptr;
  request asked;
};

/// The client's request id, or one that is drawn if it gave none, or a malformed one.
std::string id_of(const header_view& h);

/// Finds the route and checks the rights of the peer. A browser must not reach a role behind the back of its user: a
/// foreign Host or Origin is refused, and a change needs the header Cpns-Request-Id, which a form cannot send.
tl::expected<prepared, problem> prepare(shared_state& shared, const origin& from, const std::string& id,
                                        const header_view& h);

/// Runs the handler of the route, with the lines of the audit trail around it. On a worker thread.
outcome run(shared_state& shared, const route& to, const request& asked, body_source* body);

/// Records that a change was refused before its handler ran, or a read for want of rights (403). On a worker thread.
void record_refusal(shared_state& shared, const peer& from, const std::string& id, const header_view& h,
                    const problem& why);
/// The same for a request whose route is known.
void record_refusal(shared_state& shared, const route& to, const request& asked, const problem& why);

}  // namespace cpns::api::detail
