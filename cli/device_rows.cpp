#include "cli/device_rows.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/secret_file_stream.hpp"
#include "cli/flat_json.hpp"
#include "config/values.hpp"
#include "crypto/key_schedule.hpp"

namespace cpns::cli {
namespace {

constexpr std::array<std::string_view, 4> columns{"entity_id", "temporary_key", "strength", "owner"};
enum column : std::size_t { entity_column, key_column, strength_column, owner_column };
/// The texts of one row, by column; the key among them, so wiped.
struct cells {
  std::array<std::optional<std::string>, columns.size()> of;
  cells() = default;
  cells(const cells&) = delete;
  cells& operator=(const cells&) = delete;
  ~cells() {
    if (of[key_column]) wipe(*of[key_column]);
  }
};

std::string unknown_column(std::string_view name) {
  const std::vector<std::string_view> known(columns.begin(), columns.end());
  const auto near = nearest(name, known);
  return shown(name) + " is not a column" + (near ? "; did you mean '" + std::string{*near} + "'?" : "") +
         " (there are entity_id, temporary_key, strength and owner)";
}

std::optional<std::size_t> column_of(std::string_view name) {
  const auto it = std::find(columns.begin(), columns.end(), name);
  return it == columns.end() ? std::nullopt
                             : std::optional<std::size_t>{static_cast<std::size_t>(it - columns.begin())};
}

/// Reads lines of bounded length. The line is wiped before the next one is read.
class line_reader {
 public:
  explicit line_reader(std::istream& in) : in_(in) {}
  ~line_reader() { wipe(text_); }
  line_reader(const line_reader&) = delete;
  line_reader& operator=(const line_reader&) = delete;

  enum class outcome : std::uint8_t { line, end, too_long };
  outcome next() {
    wipe(text_);
    text_.reserve(device_line_max + 2);
    ++number_;
    auto* from = in_.rdbuf();
    for (;;) {
      const int c = from->sbumpc();
      if (c == std::istream::traits_type::eof()) {
        if (text_.empty()) return outcome::end;
        break;
      }
      if (c == '\n') break;
      if (text_.size() > device_line_max) return outcome::too_long;
      text_ += static_cast<char>(c);
    }
    if (text_.ends_with('\r')) text_.pop_back();
    if (number_ == 1 && text_.starts_with("\xef\xbb\xbf")) text_.erase(0, 3);
    return text_.size() > device_line_max ? outcome::too_long : outcome::line;
  }
  [[nodiscard]] std::string_view text() const { return text_; }
  [[nodiscard]] std::size_t number() const { return number_; }

 private:
  std::istream& in_;
  std::string text_;
  std::size_t number_ = 0;
};

/// RFC 4180: fields apart by commas; quotes around a field, doubled inside. Blanks around a bare field do not
/// count. Returns what is wrong, or nothing.
std::string split_csv(std::string_view line, std::vector<std::string>& fields) {
  for (std::size_t i = 0;; ++i) {
    std::string field;
    if (i < line.size() && line[i] == '"') {
      for (++i;; ++i) {
        if (i == line.size()) return "a quote is not closed in this line";
        if (line[i] != '"') {
          field += line[i];
        } else if (i + 1 < line.size() && line[i + 1] == '"') {
          field += line[i++];
        } else {
          break;
        }
      }
      if (++i < line.size() && line[i] != ',') return "a closing quote is not followed by a comma";
    } else {
      const auto end = std::min(line.find(',', i), line.size());
      auto bare = line.substr(i, end - i);
      if (bare.find('"') != std::string_view::npos)
        return "a quote stands inside a field that does not begin with one";
      while (!bare.empty() && (bare.front() == ' ' || bare.front() == '\t')) bare.remove_prefix(1);
      while (!bare.empty() && (bare.back() == ' ' || bare.back() == '\t')) bare.remove_suffix(1);
      field = bare;
      i = end;
    }
    fields.push_back(std::move(field));
    if (i >= line.size()) return {};
  }
}

/// TK from its text; what is wrong otherwise.
std::string read_key(std::string_view text, bool stretch, secret_bytes& out) {
  if (text.starts_with("hex:") || (text.size() >= 2 * temporary_key_128bit_min && from_hex(text))) {
    auto raw = from_hex(text.starts_with("hex:") ? text.substr(4) : text);
    if (!raw) return "the temporary key is no even number of hexadecimal digits";
    out = secret_bytes(std::move(*raw));
  } else {
    out = secret_bytes::from_text(text.starts_with("text:") ? text.substr(5) : text);
  }
  const auto least = stretch ? temporary_key_stretch_min : temporary_key_128bit_min;
  if (out.size() < least)
    return "the temporary key has " + std::to_string(out.size()) + " bytes; " +
           (stretch ? "one that is stretched has" : "128 random bits need") + " at least " +
           std::to_string(least) + (stretch ? "" : " (a weaker one can be imported with strength 'stretch')");
  if (out.size() > temporary_key_max)
    return "the temporary key is longer than " + std::to_string(temporary_key_max) + " bytes";
  return {};
}

/// Makes a device of the cells; what is wrong otherwise.
std::string read_row(const cells& c, device_row& out) {
  const auto& entity_text = c.of[entity_column];
  if (!entity_text || entity_text->empty()) return "the entity_id is missing";
  auto entity = entity_id::parse(*entity_text);
  if (!entity) return entity.error().detail;
  out.entity = std::move(*entity);
  const auto& strength = c.of[strength_column];
  if (!strength || strength->empty())
    return "the strength is missing: '128bit' if the manufacturer says so, else 'stretch'";
  if (*strength != "128bit" && *strength != "stretch")
    return "the strength must be '128bit' or 'stretch', not " + shown(*strength);
  out.stretch = *strength == "stretch";
  const auto& key = c.of[key_column];
  if (!key || key->empty()) return "the temporary_key is missing";
  if (auto wrong = read_key(*key, out.stretch, out.temporary_key); !wrong.empty()) return wrong;
  if (const auto& owner = c.of[owner_column]; owner && !owner->empty()) {
    auto user = user_id::parse(*owner);
    if (!user) return user.error().detail;
    out.owner = std::move(*user);
  }
  return {};
}

class collector {
 public:
  void bad(std::size_t line, std::string entity, std::string text) {
    rows_.bad.push_back({line, std::move(entity), std::move(text)});
  }
  void add(std::size_t line, const cells& c) {
    device_row row;
    row.line = line;
    if (auto wrong = read_row(c, row); !wrong.empty()) {
      bad(line, row.entity.text(), std::move(wrong));
      return;
    }
    const auto [it, fresh] = seen_.emplace(row.entity, line);
    if (!fresh) {
      bad(line, row.entity.text(), "the device is in line " + std::to_string(it->second) + " already");
      return;
    }
    rows_.good.push_back(std::move(row));
  }
  [[nodiscard]] std::size_t count() const { return rows_.good.size() + rows_.bad.size(); }
  device_rows take() { return std::move(rows_); }

 private:
  device_rows rows_;
  std::unordered_map<entity_id, std::size_t> seen_;
};

/// Where each field of a row goes.
result<std::vector<std::size_t>> read_header(std::string_view line, const std::string& place) {
  std::vector<std::string> names;
  if (auto wrong = split_csv(line, names); !wrong.empty()) return fail(errc::config_syntax, place + wrong);
  std::vector<std::size_t> order;
  for (const auto& name : names) {
    const auto c = column_of(name);
    if (!c)
      return fail(errc::config_unknown_key,
                  place + unknown_column(name) + "; the first line has the names of the columns");
    if (std::find(order.begin(), order.end(), *c) != order.end())
      return fail(errc::config_syntax, place + "the column " + name + " is there twice");
    order.push_back(*c);
  }
  for (const std::size_t needed : {entity_column, key_column, strength_column})
    if (std::find(order.begin(), order.end(), needed) == order.end())
      return fail(errc::config_missing, place + "the column " + std::string{columns[needed]} + " is missing");
  return order;
}

void read_csv_row(const line_reader& line, const std::vector<std::size_t>& order, collector& rows) {
  std::vector<std::string> fields;
  auto wrong = split_csv(line.text(), fields);
  if (wrong.empty() && fields.size() != order.size())
    wrong = "the line has " + std::to_string(fields.size()) + " fields, the first line has " +
            std::to_string(order.size());
  cells c;
  if (wrong.empty())
    for (std::size_t i = 0; i < fields.size(); ++i) c.of[order[i]] = fields[i];
  for (auto& f : fields) wipe(f);
  if (wrong.empty())
    rows.add(line.number(), c);
  else
    rows.bad(line.number(), {}, std::move(wrong));
}

void read_json_row(const line_reader& line, collector& rows) {
  cells c;
  std::string wrong;
  const auto parsed = read_flat_json(line.text(), [&](std::string_view key, std::string_view value) {
    const auto i = column_of(key);
    if (!i)
      wrong = unknown_column(key);
    else if (c.of[*i])
      wrong = "the key " + std::string{key} + " is there twice";
    else
      c.of[*i] = std::string{value};
    return wrong.empty();
  });
  if (wrong.empty() && !parsed) wrong = parsed.error().detail;
  if (wrong.empty())
    rows.add(line.number(), c);
  else
    rows.bad(line.number(), {}, std::move(wrong));
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

}  // namespace

result<device_rows> read_device_rows(std::istream& in, const std::string& name) {
  line_reader line(in);
  collector rows;
  std::optional<std::vector<std::size_t>> order;  // of a CSV file
  bool json = false;
  for (;;) {
    const auto got = line.next();
    const auto place = name + ":" + std::to_string(line.number()) + ": ";
    if (got == line_reader::outcome::end) break;
    if (got == line_reader::outcome::too_long)
      return fail(errc::config_range, place + "the line is longer than " + std::to_string(device_line_max) +
                                          " bytes; is this CSV or JSON Lines?");
    if (is_blank(line.text())) continue;
    if (!json && !order) {
      json = line.text().find_first_not_of(" \t") == line.text().find('{');
      if (!json) {
        CPNS_TRY(order, read_header(line.text(), place));
        continue;
      }
    }
    if (rows.count() == device_rows_max)
      return fail(errc::config_range,
                  place + "more than " + std::to_string(device_rows_max) + " rows; split the file");
    if (json)
      read_json_row(line, rows);
    else
      read_csv_row(line, *order, rows);
  }
  if (in.bad()) return fail(errc::config_file, name + ": cannot be read to its end");
  if (rows.count() == 0) return fail(errc::config_missing, name + ": there is no device in it");
  return rows.take();
}

result<device_rows> load_device_rows(const std::filesystem::path& file) {
  std::error_code ec;
  if (std::filesystem::is_directory(file, ec))
    return fail(errc::config_file, file.string() + ": this is a folder, not a file");
  secret_ifstream in(file);
  if (!in)
    return fail(errc::config_file,
                file.string() + ": cannot be opened; is the path right, and may this user read it?");
  return read_device_rows(in, file.string());
}

result<device_row> load_temporary_key(const std::filesystem::path& file, const entity_id& entity) {
  std::error_code ec;
  secret_ifstream in(file);
  if (!in || std::filesystem::is_directory(file, ec))
    return fail(errc::config_file,
                file.string() + ": cannot be opened; is the path right, and may this user read it?");
  line_reader line(in);
  const auto first = line.next();
  if (first == line_reader::outcome::too_long)
    return fail(errc::config_range, file.string() + ": the line is too long for a key");
  if (first == line_reader::outcome::end) return fail(errc::config_syntax, file.string() + ": is empty");
  constexpr std::string_view word = " stretch";
  auto text = line.text();
  device_row row;
  row.line = 1;
  row.entity = entity;
  row.stretch = text.ends_with(word);
  if (row.stretch) text.remove_suffix(word.size());
  if (auto wrong = read_key(text, row.stretch, row.temporary_key); !wrong.empty())
    return fail(errc::config_range, file.string() + ": " + wrong);
  if (line.next() == line_reader::outcome::line && !is_blank(line.text()))
    return fail(errc::config_syntax, file.string() + ": has a second line; a key is one line");
  return row;
}

secret32 kept_key(const crypto::suite& s, const device_row& row) {
  return row.stretch ? crypto::stretch_temporary_key(s, row.entity, row.temporary_key.expose())
                     : crypto::derive_temporary_key(s, row.entity, row.temporary_key.expose());
}

}  // namespace cpns::cli
