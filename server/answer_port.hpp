#pragma once
// The answers of one connection, and the refusals that the front desk and the session share.

#include "server/context.hpp"

namespace cpns::server {

/// Not thread-safe; the front desk and the session of a connection have one each.
class answer_port {
 public:
  answer_port(std::shared_ptr<role_context> role, std::shared_ptr<const peer_info> peer,
              std::shared_ptr<link_port> port)
      : role_(std::move(role)), peer_(std::move(peer)), port_(std::move(port)) {}

  /// Every answer holds the server's incarnation and the current issuer nonce.
  void send(const request_id& id, decltype(protocol::link_answer::body) body);
  /// `about`: the Entity ID, or empty.
  void refuse(const request_id& id, std::string_view about, protocol::refused no);

 private:
  const std::shared_ptr<role_context> role_;
  const std::shared_ptr<const peer_info> peer_;
  const std::shared_ptr<link_port> port_;
  std::uint64_t nonce_slot_ = 0;
  protocol::nonce16 nonce_{};
};

/// Takes a permit for `jobs` jobs; if there is none, `to` stays empty and the refusal is returned.
std::optional<protocol::refused> count_jobs(const role_context& role, const gateway_id& gw, std::size_t jobs,
                                            work_permit& to);

}  // namespace cpns::server
