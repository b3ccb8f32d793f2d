const rows = [...document.querySelectorAll('.cases tbody tr')];
const buttons = [...document.querySelectorAll('.filter button')];
const find = document.querySelector('.filter input');
const show = () => {
  const wanted = buttons.filter((button) => button.getAttribute('aria-pressed') === 'true').map((button) => button.dataset.verdict);
  const text = find.value.toLowerCase();
  for (const row of rows) {
    const fits = !wanted.length || wanted.includes(row.dataset.verdict);
    row.hidden = !fits || !row.textContent.toLowerCase().includes(text);
  }
};
for (const button of buttons) {
  button.addEventListener('click', () => {
    button.setAttribute('aria-pressed', String(button.getAttribute('aria-pressed') !== 'true'));
    show();
  });
}
find.addEventListener('input', show);
