#pragma once
// The TLS connection of one simulated gateway: frames out, answers in. The benchmarks say what is asked, and when.

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <functional>

#include "bench/link_frames.hpp"
#include "crypto/tls.hpp"
#include "protocol/codec.hpp"
#include "protocol/node_codec.hpp"

namespace cpns::bench {

/// Used on one thread, and as long as its io_context runs.
class gateway_link {
 public:
  using tcp = boost::asio::ip::tcp;
  using error_code = boost::system::error_code;

  struct events {
    std::function<void(protocol::link_answer&)> answered;  ///< one frame
    std::function<void()> read;                            ///< all frames that came at once were answered()
    std::function<void()> lost;                            ///< once; nothing comes after it
  };

  gateway_link(boost::asio::io_context& io, crypto::tls_context tls, events then)
      : tls_(tls.release()), stream_(io, tls_), then_(std::move(then)) {}

  /// Waits for the handshake. The value that the proofs of this connection are bound to.
  result<secret32> connect(const tcp::endpoint& to) {
    error_code ec;
    stream_.next_layer().connect(to, ec);
    if (!ec) stream_.handshake(boost::asio::ssl::stream_base::client, ec);
    if (ec) return fail(errc::peer_closed, "cannot connect to the server: " + ec.message());
    stream_.next_layer().set_option(tcp::no_delay{true}, ec);
    CPNS_TRY(auto exporter, crypto::tls_exporter(stream_.native_handle()));
    read();
    return exporter;
  }

  void send(const protocol::link_request& r) {
    append_frame(out_, r);
    flush();
  }

 private:
  void flush() {
    if (writing_ || out_.empty() || lost_) return;
    writing_ = true;
    on_the_way_.swap(out_);
    boost::asio::async_write(stream_, boost::asio::buffer(on_the_way_),
                             [this](const error_code& ec, std::size_t) {
                               writing_ = false;
                               on_the_way_.clear();
                               if (ec) return lose(ec);
                               flush();
                             });
  }

  void read() {
    if (in_.size() < used_ + 65'536) in_.resize(used_ + 131'072);
    stream_.async_read_some(boost::asio::buffer(in_.data() + used_, in_.size() - used_),
                            [this](const error_code& ec, std::size_t n) {
                              if (ec) return lose(ec);
                              used_ += n;
                              take_frames();
                              then_.read();
                              if (!lost_) read();
                            });
  }

  void take_frames() {
    std::size_t at = 0;
    while (used_ - at >= frame_head) {
      const auto* head = in_.data() + at;
      const auto n = frame_size(head);
      if (used_ - at < frame_head + n) break;
      const byte_view frame{head + frame_head, n};
      at += frame_head + n;
      if (protocol::begins_node_request(frame)) continue;  // of a cluster; it asks again later
      auto a = protocol::decode_link_answer(frame);
      if (!a) return lose(error_code{EBADMSG, boost::system::generic_category()});
      then_.answered(*a);
    }
    std::copy(in_.begin() + static_cast<std::ptrdiff_t>(at), in_.begin() + static_cast<std::ptrdiff_t>(used_),
              in_.begin());
    used_ -= at;
  }

  void lose(const error_code& why) {
    if (std::exchange(lost_, true)) return;
    std::fprintf(stderr, "a connection is lost: %s\n", why.message().c_str());
    then_.lost();
  }

  boost::asio::ssl::context tls_;
  boost::asio::ssl::stream<tcp::socket> stream_;
  const events then_;
  bytes out_, on_the_way_, in_;
  std::size_t used_ = 0;
  bool writing_ = false, lost_ = false;
};

}  // namespace cpns::bench
