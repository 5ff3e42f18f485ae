#pragma once
// The server's side of a TLS connection, on a socket that it never waits for.
//
// Most gateways ask nothing for hours, and a server holds thousands of them. A stream that keeps its buffers for each connection costs
// 70 KiB, used or not. So the calls of this class borrow a buffer of their thread, and a connection keeps only what nobody can take
// yet: the part of a record that has come, and the part of the output that the socket did not take. OpenSSL's objects are made when
// the first record of the peer is whole: a peer that sends nothing, or less, costs nothing here.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.hpp"
#include "crypto/tls.hpp"

struct bio_st;
struct bio_method_st;

namespace cpns::crypto {

/// Not thread-safe; one call after the other, on any threads.
class tls_channel {
 public:
  enum class state : std::uint8_t {
    done,
    readable,   ///< call again when the socket can be read
    writable,   ///< call again when it can be written
    closed,     ///< the peer closed the connection by close_notify
    truncated,  ///< the peer ended TCP without one
    tls_fault,  ///< `code` is OpenSSL's, for fault_of and tls_refusal; the peer was sent an alert, if the socket took it
    io_fault  ///< `code` is an errno
  };
  struct outcome {
    state what = state::done;
    std::size_t size = 0;  ///< bytes that receive() appended, or that send() took
    unsigned long code = 0;
  };

  /// `socket` stays the caller's, open as long as calls are made.
  tls_channel(tls_context context, int socket);
  ~tls_channel();
  tls_channel(const tls_channel&) = delete;
  tls_channel& operator=(const tls_channel&) = delete;

  /// Call it until it is not `readable` or `writable`.
  outcome handshake();
  /// Appends at most 16 KiB that came to `to`; never `done`. With a size it is `readable`, and an end is reported by the next
  /// call. After the handshake.
  outcome receive(bytes& to);
  /// Whether receive() has something without another event of the socket.
  [[nodiscard]] bool has_input() const;
  /// Encrypts and sends. `writable`: call it again with what it did not take, which may be nothing. `done`: the socket has all.
  outcome send(byte_view plain);
  /// Sends close_notify, and waits for the one of the peer: `done`. No other call may follow.
  outcome shut_down();

  /// Drops the issuers that the peer sent with its certificate: a copy of the CA for each connection. The peer's own certificate and
  /// the chain that was verified stay. After the handshake.
  void drop_sent_chain();
  /// Bytes of memory for what nobody can take yet; without OpenSSL's objects.
  [[nodiscard]] std::size_t memory() const { return rest_.capacity() + unsent_.capacity(); }
  /// Whether a byte came.
  [[nodiscard]] bool heard() const { return heard_; }
  /// Null before the first record.
  [[nodiscard]] ssl_st* native() const { return ssl_.get(); }

 private:
  struct ssl_free {
    void operator()(ssl_st* s) const noexcept;
  };
  class output;
  static int read_input(bio_st* bio, char* to, int size);
  static int write_output(bio_st* bio, const char* from, int size);
  static const bio_method_st* method();
  [[nodiscard]] bool open();
  /// Receives once, unless a whole record is there, at most so many bytes. nullopt: input_ has whole records.
  std::optional<outcome> fill(std::size_t most);
  /// Puts back what OpenSSL did not read.
  void keep_input();
  /// The reason why a call of OpenSSL returned `result`.
  outcome reason(int result) const;
  outcome push();

  tls_context context_;  ///< until ssl_ is made
  std::unique_ptr<ssl_st, ssl_free> ssl_;
  const int socket_;
  bool heard_ = false;
  bool said_farewell_ = false;
  bool has_record_ = false;     ///< rest_ begins with a whole record
  byte_view input_;             ///< for OpenSSL, in the buffer of the thread; empty between calls
  bytes rest_;                  ///< received, not a whole record yet, except after the handshake
  bytes unsent_;                ///< encrypted
  std::optional<outcome> end_;  ///< comes after what was received
};

}  // namespace cpns::crypto
