import { told, type RealProgram } from './program.ts'

export const perl: RealProgram = {
  name: 'perl',
  about: 'a hash that grows, a child by fork that answers through pipes, and a signal handler by alarm',
  packages: ['perl-base'],
  files: {
    'perl.pl': `use strict; use IO::Handle;
pipe(my $ask_r, my $ask_w); pipe(my $say_r, my $say_w);
$_->autoflush for $ask_w, $say_w;
if (!fork) { close $ask_w; while (<$ask_r>) { chomp; print $say_w $_ * $_, "\\n" } exit }
my (%squares, $alarms);
$SIG{ALRM} = sub { $alarms++; alarm 1 }; alarm 1;
for (my $turn = 1;; $turn++) {
  print $ask_w "$turn\\n";
  chomp($squares{$turn} = <$say_r>);
  my $sum = 0; $sum += $_ for values %squares;
  die "sum $sum at $turn" if $sum != $turn * ($turn + 1) * (2 * $turn + 1) / 6;
  open my $file, '>', '/tmp/turn.new'; print $file $turn; close $file; rename '/tmp/turn.new', '/tmp/turn';
  select undef, undef, undef, 0.1;
}
`,
  },
  command: ['perl', '/program/perl.pl'],
  check: told,
}
