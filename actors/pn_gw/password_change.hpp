#pragma once
// A new password of the user, by file or by an operator, while the gateway works with the former one.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "actors/pn_gw/enrolment.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/seldom.hpp"
#include "protocol/messages.hpp"

namespace cpns::actors {

/// The success of a change by an operator.
struct password_outcome {
  bool unchanged = false;  ///< the gateway used this password already
};

/// Lines of the audit trail for a password that came by file: no request records it. A function that is not set records
/// nothing. Both block until the line is durable, which is seldom: a file is tried once. [thread-safe]
struct password_record {
  using finish_fn = std::function<void(const status&)>;
  /// Records the intent, and returns the function that records the outcome. After an error the password is not used.
  std::function<result<finish_fn>()> begin;
  std::function<void(const std::string& reason)> refused;
};

/// A wrong password must not cut off a gateway that works, and a gateway that enrols must not keep one: the former
/// credentials, if there are any, stay in use until the server has accepted a proof with the new ones. The proof needs
/// no device: it is in a refill for an Entity ID that this object invents, to which `unknown_entity` is the answer if
/// the proof is right (docs/protocol.md, UserChallenge). One attempt at a time. Part of the server link: not
/// thread-safe.
class password_change {
 public:
  static constexpr milliseconds looks_every{60'000};  ///< at the file
  static constexpr milliseconds answers_within{10'000};
  static constexpr seconds pause{30};  ///< after an attempt without a verdict, or too many wrong passwords
  static constexpr unsigned free_wrong = 3;  ///< wrong passwords of operators before the pause

  using request_body = decltype(protocol::link_request::body);
  using done_fn = std::function<void(result<password_outcome>)>;
  /// The credentials, if the server has accepted a proof with them. peer_bad_tag: it rejects them. Another error: it has
  /// not decided, and the next attempt is not before `retry_after`.
  using enrolled_fn = std::function<void(result<user_credentials>, seconds retry_after)>;
  struct callbacks {
    std::function<request_id(request_body)> send;  ///< on the current connection, with a new id
    /// SCRAM proof for the current connection.
    std::function<byte_array<32>(const protocol::key_assignment_request&, const user_credentials&)> prove;
    /// The credentials are proven: they are used from now on and stored; saved() reports the outcome.
    std::function<void(user_credentials)> adopt;
  };
  /// The present state of the link.
  struct link_state {
    time_point now;
    bool connected = false;
    const std::optional<user_credentials>& in_use;
    bool refused = false;  ///< the server rejects those in use: the link itself enrols with the file
  };

  password_change(user_id user, std::filesystem::path file, callbacks on, password_record record = {})
      : user_(std::move(user)), file_(std::move(file)), on_(std::move(on)), record_(std::move(record)) {}

  [[nodiscard]] const std::filesystem::path& file() const { return file_; }
  [[nodiscard]] bool pending() const { return challenge_ || proof_; }

  /// The configuration was read again: looks at the file at the next timer(), also if that was wrong before.
  void reload(std::filesystem::path file);
  /// `done` is called once, at the latest when an answer is overdue: when the new password is proven and durable, or
  /// with an error. The former password stays in use after peer_closed, peer_timeout (no server), peer_bad_tag (the
  /// server rejects the password), state_overloaded (too many attempts, or the server asks to wait), state_conflict
  /// (an attempt is pending), config_range (1 to 1024 bytes), peer_policy. After an error of the store the new one is
  /// in use, and its storing is retried.
  void set(const link_state& s, secret_bytes password, done_fn done);
  /// Proves credentials with which the link enrols. Not while pending(). `done` is called once, at the latest when an
  /// answer is overdue; adopt() is not.
  void enrol(const link_state& s, user_credentials made, enrolled_fn done);
  /// Once per second.
  void timer(const link_state& s);
  /// True: the answer belongs to an attempt.
  bool take(const link_state& s, const protocol::link_answer& a);
  /// The connection is gone.
  void interrupted(const link_state& s);
  /// The outcome of storing the credentials of adopt(). False: they were not those of a change.
  bool saved(const status& outcome);

 private:
  void begin(const link_state& s, secret_bytes password, std::int64_t written, done_fn done);
  void challenged(const link_state& s, const protocol::user_challenge_answer& challenge);
  void send_proof(const link_state& s, user_credentials made);
  void judged(const link_state& s, const protocol::refusal& answer);
  void right(const link_state& s, user_credentials made);
  void wrong(const link_state& s, const std::string& reason);
  void undecided(const link_state& s, const error& why, seconds retry_after = seconds{0});
  /// Forgets the attempt; the caller of set(), or null if it came from the file.
  done_fn end();

  const user_id user_;
  std::filesystem::path file_;
  const callbacks on_;
  const password_record record_;

  // The attempt that is pending:
  std::optional<request_id> challenge_, proof_;
  time_point asked_{};
  secret_bytes password_;
  std::int64_t written_ = 0;
  std::optional<user_credentials> made_;
  done_fn done_;
  enrolled_fn enrols_;  ///< set if the link enrols

  enum class storing_t : std::uint8_t { nothing, new_password, new_time };
  storing_t storing_ = storing_t::nothing;
  done_fn waits_for_disk_;  ///< its password is proven
  time_point next_look_{}, not_before_{};
  std::int64_t tried_ = 0;  ///< password_time of the file that was tried last
  unsigned wrong_ = 0;      ///< of operators, in a row
  time_point operators_not_before_{};
  seldom trouble_;
};

}  // namespace cpns::actors
