// Pairs of answers written for this project, by topic: first those that mean the same, then near misses that do not.
// Every pair is tried both ways, and each answer with itself.

import { expect, it } from "vitest";
import { equivalent } from "./equivalent.ts";

const SAME = String.raw`
0.5 ¦ \frac{1}{2}
-0.75 ¦ -\frac34
\frac{6}{4} ¦ 1\frac{1}{2}
2\frac{3}{4} ¦ 11/4
1 3/4 ¦ 1.75
\frac{\sqrt{3}}{3} ¦ \frac{1}{\sqrt{3}}
\sqrt{8} ¦ 2\sqrt{2}
\sqrt{12}+\sqrt{27} ¦ 5\sqrt3
\frac{1}{1+\sqrt2} ¦ \sqrt{2}-1
\frac{2}{\sqrt{5}-\sqrt{3}} ¦ \sqrt5+\sqrt3
\sqrt[3]{54} ¦ 3\sqrt[3]{2}
\sqrt[3]{-8} ¦ -2
16^{3/4} ¦ 8
4^{-1/2} ¦ 0.5
\sqrt{3+2\sqrt2} ¦ 1+\sqrt2
\sqrt{-4} ¦ 2i
i^2 ¦ -1
(1+i)^2 ¦ 2i
\frac{1}{i} ¦ -i
\frac{3+4i}{1-2i} ¦ -1+2i
e^{i\pi} ¦ -1
\frac{\pi}{2} ¦ 0.5\pi
2\pi r ¦ \pi\cdot 2r
\ln e^3 ¦ 3
\ln 8 ¦ 3\ln 2
\log_2 32 ¦ 5
\log_{10} 1000 ¦ 3
\log_4 8 ¦ \frac32
\ln\frac{1}{2} ¦ -\ln 2
\sin\frac{\pi}{6} ¦ \frac12
\cos 60^\circ ¦ 0.5
\tan(45^\circ) ¦ 1
\sin^2 x+\cos^2 x ¦ 1
\sec^2 x ¦ 1+\tan^2 x
2\sin x\cos x ¦ \sin 2x
\cos(2t) ¦ 1-2\sin^2 t
\arctan 1 ¦ \frac{\pi}{4}
\sin^{-1}(1) ¦ \frac{\pi}{2}
5! ¦ 120
\binom{10}{3} ¦ 120
\frac{10!}{7!} ¦ 720
\sum_{k=1}^{10} k ¦ 55
\prod_{k=1}^{5} k ¦ 5!
\lfloor 3.7 \rfloor ¦ 3
\lceil -1.2 \rceil ¦ -1
\gcd(12, 18) ¦ 6
\text{lcm}(4, 6) ¦ 12
|{-7}| ¦ 7
|3-5| ¦ 2
\max(3, 8) ¦ 8
(x+1)^2 ¦ x^2+2x+1
(x-1)(x+1) ¦ x^2-1
x(x+1)(x+2) ¦ x^3+3x^2+2x
\frac{x^2-1}{x-1} ¦ x+1
\frac{1}{x}+\frac{1}{y} ¦ \frac{x+y}{xy}
\frac{a}{b}\cdot\frac{b}{c} ¦ \frac{a}{c}
2^{n+1} ¦ 2\cdot 2^n
4^x ¦ 2^{2x}
e^{x+y} ¦ e^x e^y
\frac{n(n+1)}{2} ¦ \frac{n^2+n}{2}
3n^2-3n+1 ¦ n^3-(n-1)^3
\sqrt{x^2} ¦ |x|
x^{1/2} ¦ \sqrt{x}
a_1+a_2 ¦ a_{2}+a_{1}
-\frac{x-2}{3} ¦ \frac{2-x}{3}
xy ¦ yx
2(3+x) ¦ 2x+6
\alpha\beta ¦ \beta\alpha
1,234,567 ¦ 1234567
12\,345 ¦ 12345
1{,}000{,}000 ¦ 10^6
3.2\times 10^{4} ¦ 32000
1.5e-3 ¦ 0.0015
6.02 \cdot 10^{23} ¦ 602000000000000000000000
0.\overline{27} ¦ \frac{3}{11}
0.1\overline{6} ¦ 1/6
0.333... ¦ 1/3
0.333333 ¦ \frac13
1.41421356 ¦ \sqrt{2}
3.14159265 ¦ \pi
101_2 ¦ 5
FF ¦ ff
25\% ¦ \frac14
12.5\% ¦ 0.125
7 percent ¦ 0.07
\$15.50 ¦ 15.5
€20 ¦ 20
45^\circ ¦ 45
45 degrees ¦ 45°
12\text{ cm} ¦ 12
12 cm ¦ 12\text{ centimeters}
100\text{ cm} ¦ 1\text{ m}
2 hours ¦ 120 minutes
36\text{ in}^2 ¦ 36\text{ square inches}
60\text{ km/h} ¦ 60
\$5 ¦ 5\text{ dollars}
five ¦ 5
forty-two ¦ 42
two hundred and six ¦ 206
3rd ¦ third
21^{\text{st}} ¦ 21
1,2,3 ¦ 3,2,1
\{1,2,3\} ¦ \{3,1,2\}
1, 2, and 3 ¦ \{1,2,3\}
x=1 \text{ or } x=2 ¦ 1, 2
x_1=3, x_2=-4 ¦ -4, 3
x=2,-3 ¦ \{2,-3\}
\pm 3 ¦ \{-3,3\}
1\pm\sqrt{5} ¦ 1+\sqrt5, 1-\sqrt5
x=\frac{-1\pm\sqrt{13}}{2} ¦ \left\{\frac{-1-\sqrt{13}}{2},\frac{-1+\sqrt{13}}{2}\right\}
(1,2) ¦ \left( 1 , 2 \right)
(x,y)=(3,4) ¦ (3,4)
x=3, y=4 ¦ (3,4)
y=4, x=3 ¦ x=3, y=4
(0.5, \sqrt{4}) ¦ (\frac12, 2)
(1,2),(3,4) ¦ (3,4),(1,2)
\{(1,2),(3,4)\} ¦ (3,4), (1,2)
(1,2,3) ¦ \begin{pmatrix}1\\2\\3\end{pmatrix}
\langle 1, 2, 3\rangle ¦ (1,2,3)
[0,1) ¦ \left[0,1\right)
(-\infty, 3) ¦ x<3
[2,\infty) ¦ x\ge 2
x>5 ¦ 5<x
1<x\le 4 ¦ (1,4]
x\in(1,4] ¦ 4\ge x>1
-2x<6 ¦ x>-3
|x|<2 ¦ (-2,2)
|x-1|\ge 3 ¦ (-\infty,-2]\cup[4,\infty)
x^2<9 ¦ -3<x<3
x<1\text{ or }x>2 ¦ (-\infty,1)\cup(2,\infty)
(-\infty,0)\cup(0,\infty) ¦ \mathbb{R}\setminus\{0\}
x\ne 0 ¦ \mathbb{R}\setminus\{0\}
[1,3]\cup[2,5] ¦ [1,5]
[1,3]\cap[2,5] ¦ [2,3]
\{x \mid x>0\} ¦ (0,\infty)
\emptyset ¦ \{\}
\varnothing ¦ \emptyset
(-\infty,\infty) ¦ \mathbb{R}
]1,2[ ¦ (1,2)
y=2x+1 ¦ 2x-y+1=0
x+y=2 ¦ 2x+2y=4
x^2+y^2=25 ¦ y^2=25-x^2
3x-y=0 ¦ y=3x
\frac{x^2}{4}+\frac{y^2}{9}=1 ¦ 9x^2+4y^2=36
f(x)=x^2 ¦ x^2
f(x)=2x+1 ¦ y=2x+1
\begin{pmatrix}1&2\\3&4\end{pmatrix} ¦ \begin{bmatrix}1&2\\3&4\end{bmatrix}
2\begin{pmatrix}1&0\\0&1\end{pmatrix} ¦ \begin{pmatrix}2&0\\0&2\end{pmatrix}
\begin{pmatrix}1/2\\0\end{pmatrix} ¦ \begin{pmatrix}0.5\\0\end{pmatrix}
\begin{vmatrix}1&2\\3&4\end{vmatrix} ¦ -2
3:4 ¦ 6:8
3:4:5 ¦ 3 : 4 : 5
\text{Monday} ¦ monday
(C) ¦ C
\textbf{(C)}\ 12 ¦ C
\textbf{(C)}\ 12 ¦ 12
March 5, 2020 ¦ 5 March 2020
3:30 p.m. ¦ 3:30 PM
3\text{ million} ¦ 3000000
\binom{n}{3} ¦ \frac{n(n-1)(n-2)}{6}
\max\{a,b\} ¦ \max(b,a)
A, C, D ¦ ACD
no solution ¦ \text{No solution}
\dfrac{7}{8} ¦ \tfrac78
\cfrac{1}{1+\cfrac12} ¦ \frac23
\frac1{72} ¦ 1/72
\frac{\pi}4 ¦ \pi/4
√2 ¦ \sqrt{2}
x² ¦ x^2
½ ¦ 0.5
3·4 ¦ 12
10 − 3 ¦ 7
\mathrm{e}^2 ¦ e^2
\boldsymbol{x}+1 ¦ 1+x
\text{The answer is } 5 ¦ 5
x\approx 2.5 ¦ 2.5
x=\frac13\approx 0.333 ¦ \frac13
2k\pi, k\in\mathbb{Z} ¦ 2n\pi, n\in\mathbb{Z}
1234567890123456789012345678901234567890 ¦ 1234567890123456789012345678901234567890.0
2^{100} ¦ 1267650600228229401496703205376
`;

const DIFFERENT = String.raw`
5 ¦ -5
\frac12 ¦ -\frac12
\frac{1}{3} ¦ 0.33
\frac{1}{3} ¦ 0.3333
\frac{2}{3} ¦ 0.666666
\frac{2}{3} ¦ \frac{3}{2}
0.1 ¦ 0.01
1.5 ¦ 15
3.14 ¦ \pi
1.41421357 ¦ \sqrt{2}
1.414213562373096 ¦ 1.414213562373095
1234567890123456789012345678901234567890 ¦ 1234567890123456789012345678901234567891
\frac{1234567890123456789012345678901234567890}{7} ¦ \frac{1234567890123456789012345678901234567891}{7}
2^{1000} ¦ 2^{1000}-1
10^{40} ¦ 10^{40}+1
\sqrt{10^{40}+1} ¦ 10^{20}
\ln(10^{40}+1) ¦ \ln(10^{40})
100! ¦ 100!+1
\frac{1}{10^{30}} ¦ 0
\sqrt2 ¦ \sqrt3
\sqrt{2}+\sqrt{3} ¦ \sqrt{5}
2\sqrt{3} ¦ 3\sqrt{2}
\sqrt[3]{2} ¦ \sqrt{2}
1+\sqrt2 ¦ 1-\sqrt2
i ¦ -i
2+3i ¦ 2-3i
2+3i ¦ 3+2i
e ¦ 2.71828
\pi ¦ 3
\pi ¦ \frac{22}{7}
e^2 ¦ 2e
\ln 2 ¦ \ln 3
\log_2 3 ¦ \log_3 2
\sin 1 ¦ \sin 1^\circ
\sin 30 ¦ \sin 30^\circ
\sin x ¦ \cos x
\sin 2x ¦ 2\sin x
\sin x^2 ¦ \sin^2 x
\arctan 1 ¦ \tan 1
5! ¦ 5
6! ¦ 719
\binom{10}{3} ¦ \binom{10}{4}
|x| ¦ x
\sqrt{x^2} ¦ x
\sqrt{x^2} ¦ -x
\lfloor x\rfloor ¦ x
x ¦ y
x+1 ¦ x-1
x+1 ¦ x+2
x^2 ¦ x^3
x^2+1 ¦ (x+1)^2
(x+1)(x+2) ¦ (x+1)(x+3)
\frac{x}{y} ¦ \frac{y}{x}
\frac{x+1}{x-1} ¦ \frac{x-1}{x+1}
\frac{1}{x+y} ¦ \frac1x+\frac1y
2^n ¦ n^2
2^{n+1} ¦ 2^n+1
2^x ¦ 2^{-x}
a_1 ¦ a_2
a_n ¦ a_{n+1}
x+y ¦ x-y
xy ¦ x+y
ab^2 ¦ (ab)^2
-x^2 ¦ (-x)^2
x^2-y^2 ¦ (x-y)^2
\frac{n(n+1)}{2} ¦ \frac{n(n-1)}{2}
\ln(x^2) ¦ 2\ln x + 1
e^{x} ¦ e^{-x}
1,234 ¦ 1,235
1,234 ¦ 1.234
12,345 ¦ 12, 345
3.2\times10^4 ¦ 3.2\times10^5
3\times10^{-4} ¦ 3\times10^{4}
0.\overline{3} ¦ 0.3
0.1\overline{6} ¦ 0.\overline{16}
101_2 ¦ 101
101_2 ¦ 101_3
25\% ¦ 25
25\% ¦ 0.025
5\text{ cm} ¦ 5\text{ m}
5\text{ cm} ¦ 5\text{ cm}^2
3 hours ¦ 3 minutes
5 kg ¦ 5 cm
100 cm ¦ 10 m
5\text{ cents} ¦ 5\text{ dollars}
3:30 p.m. ¦ 3:30 a.m.
12:30 ¦ 12:31
five ¦ 6
forty-two ¦ 24
third ¦ 4th
\{1,2\} ¦ \{1,3\}
\{1,2\} ¦ \{1,2,3\}
\{1,2,3\} ¦ \{1,2\}
1,2,3 ¦ 1,2,4
1,2 ¦ 12
1,2 ¦ 3
x=1\text{ or }x=2 ¦ x=1
x=1\text{ or }x=2 ¦ x=1\text{ or }x=-2
\pm 3 ¦ 3
\pm 3 ¦ \{3\}
1\pm\sqrt5 ¦ 1+\sqrt5
1\pm\sqrt5 ¦ -1\pm\sqrt5
(1,2) ¦ (2,1)
(1,2) ¦ (1,-2)
(1,2) ¦ (1,2,3)
(1,2) ¦ [1,2]
(1,2) ¦ (1,2]
(1,2,3) ¦ (1,3,2)
(1,2),(3,4) ¦ (1,2),(4,3)
(1,2),(3,4) ¦ (1,2)
x=3, y=4 ¦ x=4, y=3
(x,y)=(3,4) ¦ (4,3)
[0,1) ¦ [0,1]
[0,1) ¦ (0,1]
[0,1] ¦ \{0,1\}
(-\infty,3) ¦ (-\infty,3]
(-\infty,3) ¦ (3,\infty)
x<3 ¦ x\le 3
x<3 ¦ x>3
x<3 ¦ x<-3
x<3 ¦ y<3
1<x<4 ¦ 1<x\le4
1<x<4 ¦ [1,4]
-2x<6 ¦ x<-3
|x|<2 ¦ |x|>2
|x|<2 ¦ (0,2)
x^2<9 ¦ x<3
(-\infty,1)\cup(2,\infty) ¦ (1,2)
(-\infty,1)\cup(2,\infty) ¦ (-\infty,1]\cup[2,\infty)
[1,2]\cup[3,4] ¦ [1,4]
x\ne 0 ¦ x=0
x\ne 0 ¦ x\ne 1
\mathbb{R} ¦ \mathbb{R}\setminus\{0\}
\mathbb{R} ¦ \mathbb{Z}
\emptyset ¦ \{0\}
\emptyset ¦ 0
\infty ¦ -\infty
y=2x+1 ¦ y=2x-1
y=2x+1 ¦ y=-2x+1
x+y=2 ¦ x-y=2
x+y=2 ¦ x+y=3
2x+3y=6 ¦ 3x+2y=6
x^2+y^2=25 ¦ x^2+y^2=5
x^2+y^2=25 ¦ x^2-y^2=25
7=11a+c ¦ 11a+c
a^2+b=0 ¦ 0
f(x)=x^2 ¦ f(x)=-x^2
x=5 ¦ x=-5
\begin{pmatrix}1&2\\3&4\end{pmatrix} ¦ \begin{pmatrix}1&3\\2&4\end{pmatrix}
\begin{pmatrix}1&2\\3&4\end{pmatrix} ¦ \begin{pmatrix}1&2\\3&-4\end{pmatrix}
\begin{pmatrix}1\\2\end{pmatrix} ¦ \begin{pmatrix}1\\2\\3\end{pmatrix}
\begin{pmatrix}1\\2\end{pmatrix} ¦ (2,1)
3:4 ¦ 4:3
3:4 ¦ 3:5
\text{Monday} ¦ \text{Tuesday}
yes ¦ no
(A) ¦ (B)
\textbf{(C)}\ 12 ¦ B
\textbf{(C)}\ 12 ¦ 13
March 5, 2020 ¦ March 6, 2020
March 5, 2020 ¦ May 3, 2020
3\text{ million} ¦ 3\text{ billion}
\binom{n}{3} ¦ \binom{n}{2}
A, C, D ¦ ABD
3:4:5 ¦ 3:5:4
\{1,2\}\cap\{2,3\} ¦ \{1,2,3\}
\text{no solution} ¦ 0
\text{none} ¦ \text{all}
\dfrac78 ¦ \dfrac87
\frac{1}{0} ¦ \infty
0^0 ¦ 0
5m ¦ 5
2x ¦ 2
x=\frac13\approx 0.333 ¦ \frac23
2k\pi, k\in\mathbb{Z} ¦ k\pi, k\in\mathbb{Z}
x^{100}+1 ¦ x^{100}-1
(x+1)^{50} ¦ (x+1)^{51}
x+10^{-12} ¦ x
\sin(x)+10^{-7} ¦ \sin(x)
`;

function pairsOf(table: string): [string, string][] {
  return table
    .trim()
    .split("\n")
    .map((line) => line.split(" ¦ ") as [string, string]);
}

const same = (predicted: string, truth: string) => equivalent({ predicted, truth });

it.each(pairsOf(SAME))("%j equals %j", (left, right) => {
  expect(same(left, right), same(left, right).reason).toMatchObject({ equivalent: true });
  expect(same(right, left), same(right, left).reason).toMatchObject({ equivalent: true });
});

it.each(pairsOf(DIFFERENT))("%j is not %j", (left, right) => {
  expect(same(left, right), same(left, right).reason).toMatchObject({ equivalent: false });
  expect(same(right, left), same(right, left).reason).toMatchObject({ equivalent: false });
  for (const answer of [left, right]) expect(same(answer, answer).equivalent).toBe(true);
});

it("holds at least 300 pairs, half of them negative", () => {
  expect(pairsOf(SAME).length).toBeGreaterThanOrEqual(150);
  expect(pairsOf(DIFFERENT).length).toBeGreaterThanOrEqual(150);
});
