#pragma once
// The body of a request on a route that streams. Private to api/.

#include <boost/asio/post.hpp>
#include <boost/beast/http.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "api/body_problems.hpp"
#include "api/session.hpp"

namespace cpns::api::detail {

/// Each read of the handler's thread becomes one read on the strand of the connection.
template <class Session>
class body_reader final : public body_source {
 public:
  explicit body_reader(std::shared_ptr<Session> s) : session_(std::move(s)) {
    if (const auto n = session_->parts_->content_length()) length_ = *n;
  }

  result<std::size_t> read(std::span<std::uint8_t> to) override {
    std::unique_lock lock{guard_};
    done_ = false;
    boost::asio::post(session_->strand_, [this, to] { begin(to); });
    ready_.wait(lock, [this] { return done_; });
    return got_;
  }
  [[nodiscard]] std::optional<std::uint64_t> length() const override { return length_; }

 private:
  // On the strand, while the handler's thread waits in read().
  void begin(std::span<std::uint8_t> to) {
    auto& s = *session_;
    if (s.closed_) return finish(fail(errc::peer_closed, "the connection is closed"));
    if (s.parts_->is_done()) return finish(std::size_t{0});
    auto& body = s.parts_->get().body();
    body.data = to.data();
    body.size = to.size();
    body.more = true;
    began_ = session_clock::now();
    s.expect_part_within(s.limits().part_time - waited_);
    boost::beast::http::async_read_some(
        s.stream_, s.buffer_, *s.parts_,
        s.on_strand([this, to, keep = session_](const boost::system::error_code& ec, std::size_t) {
          on_read(ec, to);
        }));
  }
  void on_read(const boost::system::error_code& ec, std::span<std::uint8_t> to) {
    auto& s = *session_;
    s.expect_nothing();
    s.awaits_part_ = false;
    if (s.closed_) return finish(fail(errc::state_stopping, "the role ends"));
    if (s.part_is_late_) return finish(fail(errc::peer_timeout, slow_body_text(s.limits())));
    if (ec == boost::beast::http::error::body_limit)
      return finish(fail(errc::wire_oversized, body_too_large(*s.to_).detail));
    if (ec && ec != boost::beast::http::error::need_buffer)
      return finish(fail(errc::peer_closed, "the body ended early: " + ec.message()));
    const auto n = to.size() - s.parts_->get().body().size;
    count(n);
    if (n == 0 && !s.parts_->is_done()) return begin(to);
    finish(n);
  }
  /// The time in which the handler works does not count.
  void count(std::size_t n) {
    waited_ += session_clock::now() - began_;
    got_of_part_ += n;
    if (got_of_part_ < session_->limits().part_size) return;
    got_of_part_ = 0;
    waited_ = {};
  }
  void finish(result<std::size_t> got) {
    std::lock_guard lock{guard_};
    got_ = std::move(got);
    done_ = true;
    ready_.notify_one();
  }

  std::shared_ptr<Session> session_;
  std::optional<std::uint64_t> length_;
  // On the strand:
  session_clock::time_point began_;
  session_clock::duration waited_{};  ///< for the present part
  std::size_t got_of_part_ = 0;
  std::mutex guard_;
  std::condition_variable ready_;
  bool done_ = false;
  result<std::size_t> got_ = std::size_t{0};
};

}  // namespace cpns::api::detail
