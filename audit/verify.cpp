#include "audit/verify.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>

#include "audit/trail_file.hpp"
#include "crypto/sha256_stream.hpp"

namespace cpns::audit {
namespace {

/// Bytes between two genuine lines that are not genuine themselves.
struct gap_bytes {
  std::uint64_t first_line = 0;  ///< of the file
  std::uint64_t lines = 0;       ///< whole or not
  std::uint64_t size = 0;
  bool ended = true;        ///< the last byte is a line end
  byte_array<32> digest{};  ///< without the last byte, which is the line end that the repair added
};

class gap_reader {
 public:
  void add(const line_source::part& p, std::uint64_t line) {
    if (gap_.size == 0) gap_.first_line = line;
    if (held_ != npos) put(static_cast<std::uint8_t>(held_));
    sum_.add(as_bytes(p.bytes.substr(0, p.bytes.size() - 1)));
    held_ = static_cast<std::uint8_t>(p.bytes.back());
    gap_.size += p.bytes.size();
    ++gap_.lines;
    gap_.ended = p.bytes.back() == '\n';
  }
  gap_bytes take() {
    gap_.digest = sum_.finish();
    held_ = npos;
    return std::exchange(gap_, {});
  }

 private:
  static constexpr int npos = -1;
  void put(std::uint8_t b) { sum_.add({&b, 1}); }
  gap_bytes gap_;
  crypto::sha256_stream sum_;
  int held_ = npos;
};

std::string range(std::uint64_t from, std::uint64_t to) {
  if (from == to) return "line " + std::to_string(from);
  return "lines " + std::to_string(from) + " to " + std::to_string(to);
}

/// A line of kind `repaired` or `began` names the bytes that it follows.
bool explains(const genuine_line& line, const gap_bytes& gap) {
  const auto* found = line.fields.if_contains("found");
  const auto* o = found == nullptr ? nullptr : found->if_object();
  if (o == nullptr) return false;
  const genuine_line in{{}, {}, *o};
  return in.count("incomplete_bytes") + 1 == gap.size && in.text("sha256") == to_hex(gap.digest);
}

/// Looks at the clock now and then: a call takes longer than a line.
class time_limit {
 public:
  explicit time_limit(check_until until) : until_(until) {}
  status check(const std::filesystem::path& file) {
    if (!until_ || ++lines_ % lines_per_look != 0 || std::chrono::steady_clock::now() < *until_) return {};
    return fail(errc::state_overloaded, "the check of " + file.string() +
                                            " takes too long while the role runs; rotate the trail, or stop "
                                            "the role and run `cpns audit verify`");
  }

 private:
  static constexpr std::uint64_t lines_per_look = 256;
  check_until until_;
  std::uint64_t lines_ = 0;
};

class verification {
 public:
  verification(const chain& c, time_limit& limit) : chain_(c), limit_(limit) { report_.head = c.head.number; }

  status read(const open_source& s, bool last_file) {
    file_ = s.path.string();
    report_.files.emplace_back().file = file_;
    line_source source(s.fd, s.size, s.path);
    std::uint64_t n = 0;
    for (;;) {
      CPNS_TRY(const auto p, source.next());
      if (!p) break;
      CPNS_CHECK(limit_.check(s.path));
      ++n;
      const auto line = p->whole ? read_line(p->line(), chain_.key) : std::nullopt;
      if (line)
        take(*line, n);
      else
        gap_.add(*p, n);
    }
    end_of_file(last_file);
    return {};
  }

  verify_report finish() {
    const auto head = chain_.head;
    if (report_.lines == 0 && head.number > 0)
      fault(0, "no line of this chain is in these files, and the store knows " + range(1, head.number));
    else if (at_.number < head.number)
      fault(0, range(at_.number + 1, head.number) + " at the end: missing; the store knows line " +
                   std::to_string(head.number));
    else if (other_head_ || (at_.number == head.number && at_.mac != head.mac))
      fault(0, "line " + std::to_string(head.number) + " is not the one that the store knows");
    else if (at_.number > head.number + batch_lines_max)
      fault(0, "the store knows line " + std::to_string(head.number) + ", and the file goes on to line " +
                   std::to_string(at_.number) +
                   ": the store is older than the file, for example restored from a backup");
    else if (at_.number > head.number)
      remark(
          range(head.number + 1, at_.number) +
          ": genuine, and not yet known to the store, as a crash leaves them; the next start takes them in");
    if (report_.first > 1)
      remark("the files begin with line " + std::to_string(report_.first) +
             "; the lines before are in older files, or lost");
    report_.last = at_.number;
    return std::move(report_);
  }

 private:
  void remark(std::string text) {
    if (report_.remarks.size() < remarks_max) report_.remarks.push_back(std::move(text));
  }
  void fault(std::uint64_t line, std::string text) {
    if (report_.faults.size() < faults_max)
      report_.faults.push_back({file_, line, std::move(text)});
    else
      ++report_.faults_left_out;
  }

  void take(const genuine_line& line, std::uint64_t n) {
    const auto gap = gap_.take();
    auto& file = report_.files.back();
    const auto number = line.at.number;
    if (report_.lines > 0 && number <= at_.number) {
      changed(gap);
      fault(n, "line " + std::to_string(number) + " follows line " + std::to_string(at_.number) +
                   ": lines were repeated or moved");
      return;
    }
    const bool follows = report_.lines == 0 ? number > 1 || line.previous == line_mac{}
                                            : number == at_.number + 1 && line.previous == at_.mac;
    const auto missing = report_.lines == 0 ? 0 : number - at_.number - 1;
    if (gap.size > 0 && follows && explains(line, gap))
      remark(file_ + ":" + std::to_string(gap.first_line) + ": " + std::to_string(gap.size - 1) +
             " bytes of lines that a crash or a power cut left incomplete; line " + std::to_string(number) +
             " records them");
    else
      changed(gap);
    if (missing > 0 && missing != gap.lines)
      fault(n, range(at_.number + 1, number - 1) + ": missing before this one");
    else if (!follows && missing == 0)
      fault(n,
            "line " + std::to_string(number) + " does not continue the line before: the chain was replaced");
    if (number == chain_.head.number && line.at.mac != chain_.head.mac) other_head_ = true;
    if (report_.lines == 0) report_.first = number;
    if (file.lines == 0) {
      file.first = number;
      file.since = line.text("time");
    }
    file.last = number;
    file.until = line.text("time");
    ++file.lines;
    ++report_.lines;
    at_ = line.at;
  }

  void changed(const gap_bytes& gap) {
    if (gap.size == 0) return;
    fault(gap.first_line, (gap.lines == 1 ? std::string("this line was")
                                          : "these " + std::to_string(gap.lines) + " lines were") +
                              " changed, or not written by this role");
  }

  /// Bytes at the end of a file that do not form a line: if a crash left them, no line is missing.
  void end_of_file(bool last_file) {
    const auto gap = gap_.take();
    if (gap.size == 0) return;
    const bool all_known = at_.number >= chain_.head.number;
    if (report_.lines > 0 && (last_file ? all_known : !gap.ended))
      remark(file_ + ":" + std::to_string(gap.first_line) + ": " + std::to_string(gap.size) +
             " bytes at the end are not a whole line, as a crash or a power cut leaves them; "
             "the next start records them");
    else
      changed(gap);
  }

  const chain& chain_;
  time_limit& limit_;
  verify_report report_;
  std::string file_;
  link at_;
  bool other_head_ = false;
  gap_reader gap_;
};

struct opened_file {
  descriptor fd;
  open_source source;
  std::uint64_t first = 0;  ///< number of the first genuine line; 0: none
};

result<std::uint64_t> first_number(const open_source& s, const chain& c, time_limit& limit) {
  line_source source(s.fd, s.size, s.path);
  for (;;) {
    CPNS_TRY(const auto p, source.next());
    if (!p) return std::uint64_t{0};
    CPNS_CHECK(limit.check(s.path));
    if (const auto line = p->whole ? read_line(p->line(), c.key) : std::nullopt) return line->at.number;
  }
}

using identity = std::pair<dev_t, ino_t>;

result<identity> identity_of(int fd, const std::filesystem::path& path) {
  struct stat about {};
  if (::fstat(fd, &about) != 0)
    return fail(errc::config_file, "cannot read the attributes of " + path.string());
  return identity{about.st_dev, about.st_ino};
}

}  // namespace

std::string verify_fault::message() const {
  return file + (line == 0 ? "" : ":" + std::to_string(line)) + ": " + text;
}

result<verify_report> verify(const std::vector<std::filesystem::path>& older, const open_source& newest,
                             const chain& c, check_until until) {
  time_limit limit(until);
  std::vector<opened_file> files;
  std::set<identity> known;
  if (newest.fd >= 0) {
    CPNS_TRY(const auto id, identity_of(newest.fd, newest.path));
    known.insert(id);
  }
  for (const auto& path : older) {
    opened_file f;
    CPNS_TRY(f.fd, open_to_read(path));
    CPNS_TRY(const auto id, identity_of(f.fd.get(), path));
    if (!known.insert(id).second) continue;
    CPNS_TRY(const auto size, size_of(f.fd.get(), path));
    f.source = {f.fd.get(), size, path};
    CPNS_TRY(f.first, first_number(f.source, c, limit));
    files.push_back(std::move(f));
  }
  std::stable_sort(files.begin(), files.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  verification v(c, limit);
  for (std::size_t i = 0; i < files.size(); ++i)
    CPNS_CHECK(v.read(files[i].source, newest.fd < 0 && i + 1 == files.size()));
  if (newest.fd >= 0) CPNS_CHECK(v.read(newest, true));
  return v.finish();
}

result<verify_report> verify(const std::vector<std::filesystem::path>& older,
                             const std::filesystem::path& newest, const chain& c) {
  std::error_code ec;
  if (!std::filesystem::exists(std::filesystem::symlink_status(newest, ec)))
    return verify(older, open_source{-1, 0, newest}, c);
  CPNS_TRY(const auto fd, open_to_read(newest));
  CPNS_TRY(const auto size, size_of(fd.get(), newest));
  return verify(older, open_source{fd.get(), size, newest}, c);
}

}  // namespace cpns::audit
