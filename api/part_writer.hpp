#pragma once
// An answer that is sent in parts while it is made. Private to api/.

#include <array>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "api/session.hpp"
#include "base/log.hpp"
#include "base/secret.hpp"

namespace cpns::api::detail {

/// A long list must cost neither memory nor a worker while a slow client reads it: a worker makes the next part only when the
/// one before was written. Parts are wiped. Its members run on the strand of the session, except where they say so.
template <class Session>
class part_writer final : public std::enable_shared_from_this<part_writer<Session>> {
 public:
  explicit part_writer(std::shared_ptr<Session> s) : session_(std::move(s)) {}
  ~part_writer() { wipe(part_); }
  part_writer(const part_writer&) = delete;
  part_writer& operator=(const part_writer&) = delete;

  void begin(const response& r) {
    auto& s = *session_;
    parts_ = r.parts;
    if (parts_->goes_on()) {
      auto held = s.shared_.place_for_reader(s.key);
      if (!held) return s.give_up(std::move(held).error());
      place_ = std::move(*held);
      s.keep_alive_ = false;
      follow();
    }
    s.keep_alive_ = s.keep_alive_ && s.chunked_ && !s.is_old();
    s.shared_.count_answer(r.status);
    part_ = "HTTP/1.1 200 OK\r\nContent-Type: " + r.type +
            "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: " +
            (s.keep_alive_ ? "keep-alive" : "close") + "\r\nCpns-Request-Id: " + s.asked_.id + "\r\n" +
            (s.chunked_ ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
    write(one(part_), false);
  }

 private:
  /// On its way from a worker: the server may end before it arrives.
  struct made_part {
    result<std::string> text;

    explicit made_part(result<std::string> t) : text(std::move(t)) {}
    made_part(made_part&&) = default;
    made_part& operator=(made_part&&) = delete;
    ~made_part() {
      if (text) wipe(*text);
    }
  };

  static boost::asio::const_buffer one(const std::string& text) { return {text.data(), text.size()}; }
  /// Of an answer that goes on.
  void follow() {
    listening_ = parts_->listen([weak = this->weak_from_this()] {
      const auto self = weak.lock();
      if (!self || self->woken_.exchange(true)) return;
      boost::asio::post(self->session_->strand_, [self] {
        if (self->idle_) self->make_in_time();  // otherwise woken_ is seen later
      });
    });
    // The client sends nothing more: bytes or the end close its connection.
    session_->stream_.async_read_some(
        boost::asio::buffer(session_->discarded_),
        session_->on_strand([self = this->shared_from_this()](const boost::system::error_code&, std::size_t) {
          self->listening_.reset();
          self->timer_.cancel();
          self->session_->close();
        }));
  }
  /// All that was known is sent.
  void go_on() {
    session_->expect_nothing();
    woken_ ? make_in_time() : wait();
  }
  void wait() {
    if (session_->closed_) return;
    idle_ = true;
    timer_.expires_after(session_->limits().heartbeat);
    timer_.async_wait(
        session_->on_strand([weak = this->weak_from_this()](const boost::system::error_code& ec) {
          const auto self = weak.lock();
          if (!self || ec || !self->idle_ || self->session_->closed_) return;
          self->idle_ = false;
          self->send(self->parts_->heartbeat());
        }));
  }
  void make_in_time() {
    idle_ = false;
    const auto due = made_ + parts_->gathers();
    if (due <= std::chrono::steady_clock::now()) {
      timer_.cancel();
      return make_next();
    }
    timer_.expires_at(due);
    timer_.async_wait(
        session_->on_strand([weak = this->weak_from_this()](const boost::system::error_code& ec) {
          if (const auto self = weak.lock(); self && !ec && !self->session_->closed_) self->make_next();
        }));
  }
  void make_next() {
    idle_ = woken_ = false;
    made_ = std::chrono::steady_clock::now();
    session_->expect_nothing();
    boost::asio::post(session_->shared_.workers, [self = this->shared_from_this()] {
      made_part made{self->next()};
      boost::asio::post(self->session_->strand_,
                        [self, made = std::move(made)]() mutable { self->send(std::move(made.text)); });
    });
  }
  /// On a worker thread.
  result<std::string> next() {
    try {
      return parts_->next();
    } catch (const std::exception& e) {
      return fail(errc::internal, e.what());
    }
  }
  /// An answer that is not whole ends without its last chunk: the connection is closed.
  void send(result<std::string> made) {
    auto& s = *session_;
    if (!made) {
      log::warn(s.shared_.parts.component, "api-failed", "an answer ended early: " + made.error().message(),
                {{"request", s.asked_.id}, {"path", s.asked_.path}, {"peer", s.asked_.from.text()}});
      return s.close();
    }
    part_ = std::move(*made);
    if (s.closed_) return;
    if (part_.empty() && parts_->goes_on()) return go_on();
    if (!s.chunked_) {
      if (part_.empty()) return s.close_gently();
      return write(one(part_), false);
    }
    std::array<char, 20> size{};
    const auto n = std::snprintf(size.data(), size.size(), "%zx\r\n", part_.size());
    head_.assign(size.data(), static_cast<std::size_t>(n));
    write(std::array<boost::asio::const_buffer, 3>{boost::asio::buffer(head_), boost::asio::buffer(part_),
                                                   boost::asio::buffer(end_)},
          part_.empty());
  }
  template <class Buffers>
  void write(const Buffers& all, bool last) {
    auto& s = *session_;
    s.expect_within(s.limits().write_time);
    boost::asio::async_write(s.stream_, all,
                             s.on_strand([self = this->shared_from_this(),
                                          last](const boost::system::error_code& ec, std::size_t) {
                               auto& of = *self->session_;
                               wipe(self->part_);
                               if (ec || of.closed_) return of.close();
                               if (!last) return self->parts_->drained() ? self->go_on() : self->make_next();
                               if (!of.keep_alive_) return of.close_gently();
                               of.read_head();
                             }));
  }

  std::shared_ptr<Session> session_;
  std::shared_ptr<part_source> parts_;
  place place_;  ///< as a reader of events
  std::shared_ptr<void> listening_;
  boost::asio::steady_timer timer_{session_->strand_};
  std::chrono::steady_clock::time_point made_{};  ///< when the last next() began
  bool idle_ = false;
  std::atomic<bool> woken_ = false;  ///< something may be new since the last next() began
  std::string head_, part_;
  const std::string end_ = "\r\n";
};

}  // namespace cpns::api::detail
